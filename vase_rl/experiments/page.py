"""The frame of the report: one page that needs nothing but itself."""

from __future__ import annotations

from html import escape

STYLE = """
:root { --ink: #22262e; --muted: #626875; --line: #e3e2dc; --paper: #faf9f6; --card: #ffffff;
  --accent: #3a6ea5; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 17px/1.55 "Inter", "Segoe UI", "Helvetica Neue", Helvetica, Arial, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 56px 32px 72px; }
h1 { font: 600 44px/1.12 Georgia, "Source Serif Pro", "Times New Roman", serif;
  letter-spacing: -.012em; margin: .15em 0 .45em; max-width: 18em; }
h2 { font: 600 27px/1.2 Georgia, "Source Serif Pro", "Times New Roman", serif;
  margin: 0 0 .4em; letter-spacing: -.005em; }
h3 { font-size: 15px; margin: 0 0 10px; display: flex; align-items: center; gap: 9px; }
p { margin: 0 0 1em; max-width: 43em; }
.kicker { color: var(--accent); font-weight: 600; font-size: 14px; letter-spacing: .04em; }
.lead { font-size: 20px; line-height: 1.5; color: #363b45; }
section { margin-top: 64px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 22px; margin: 20px 0; }
figure { margin: 20px 0; }
figcaption, .note { color: var(--muted); font-size: 14.5px; line-height: 1.5; max-width: 52em; }
figcaption { margin-top: 10px; }
.scroll { overflow-x: auto; }
.memory td.number { font-weight: 400; }
.memory td, .memory th { padding-right: 18px; }
.memory td:first-child { white-space: nowrap; }
.numbers code { margin-left: 4px; color: var(--muted); font-size: 13px; }
.scroll > svg, .scroll > .wide { min-width: 680px; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg text { font-family: inherit !important; }
.tiles { display: grid; grid-template-columns: 1fr 1fr 1fr 1.2fr; gap: 14px; margin: 34px 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px 15px; }
.tile b { display: block; font: 600 27px/1.15 Georgia, "Times New Roman", serif;
  white-space: nowrap; }
.tile span { color: var(--muted); font-size: 14px; line-height: 1.4; display: block;
  margin-top: 5px; }
sub { line-height: 0; font-size: .72em; }
.chip { width: 13px; height: 13px; border-radius: 3px; flex: none; display: inline-block; }
.rows { display: grid; grid-template-columns: 172px 1fr; gap: 6px 14px; align-items: center;
  min-width: 680px; }
.rows > span { font-size: 14px; line-height: 1.3; color: var(--muted); }
.rows > span.own { color: var(--ink); font-weight: 600; }
img { max-width: 100%; }
img.pixels { display: block; width: 100%; height: auto; image-rendering: pixelated;
  border-radius: 3px; }
img.film { display: block; width: 100%; height: auto; border-radius: 6px; }
.film-heads { display: grid; grid-template-columns: 1fr 1fr; column-gap: 12px; font-size: 14px;
  line-height: 1.35; margin-bottom: 10px; }
.film-heads b { display: block; }
.film-heads span { color: var(--muted); }
.latents { display: grid; gap: 12px 18px; align-items: end; min-width: 820px; }
.latents > .name { font-weight: 600; font-size: 15px; text-align: right; padding-bottom: 8px; }
.latents > .head { font-size: 14.5px; font-weight: 600; display: flex; gap: 8px;
  align-items: center; padding-bottom: 5px; }
.role { display: inline-block; font-size: 12.5px; line-height: 1; padding: 3px 10px 4px;
  border-radius: 20px; border: 1px solid transparent; margin-bottom: 5px; }
.used { background: #e4f1e9; color: #1e6b45; border-color: #bcdcca; }
.frozen { background: #e5eef8; color: #2b5c91; border-color: #bfd4ea; }
.spare { color: #6c7280; border-color: #d9d8d2; border-style: dashed; }
.cell .ground { background: #000; border-radius: 3px; }
.cell .frozen + .ground img, .cell .spare + .ground img { opacity: .4; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; margin: 20px 0; }
.two > * { margin: 0; min-width: 0; }
.two .scroll > svg { min-width: 0; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
th, td { text-align: left; padding: 9px 14px 9px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; color: var(--muted); font-size: 14px; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.number { font-weight: 600; }
code { font: 14px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  background: #f0efea; border-radius: 4px; padding: 2px 6px; overflow-wrap: anywhere; }
footer { margin-top: 64px; padding-top: 18px; border-top: 1px solid var(--line);
  color: var(--muted); font-size: 14.5px; }
.warning { border-left: 4px solid #c9812b; }
@media (max-width: 760px) {
  body { font-size: 16px; }
  main { padding: 30px 16px 48px; }
  h1 { font-size: 32px; } h2 { font-size: 23px; } .lead { font-size: 18px; }
  section { margin-top: 46px; }
  .card { padding: 14px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile { padding: 12px 13px; } .tile b { font-size: 19px; }
  .two { grid-template-columns: 1fr; }
  .rows { grid-template-columns: 100px 1fr; min-width: 600px; }
}
@media print { .card, .tile, figure { break-inside: avoid; } }
"""


def page(title: str, body: str) -> str:
    """A whole HTML document."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """A chapter of the page."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, kind: str = "") -> str:
    """Text that may hold markup."""
    return f'<p class="{kind}">{text}</p>' if kind else f"<p>{text}</p>"


def chart(svg: str, alt: str, caption: str = "") -> str:
    """A chart in a card, described for those who do not see it."""
    described = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
    note = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="card"><div class="scroll">{described}</div>{note}</figure>'


def image(uri: str, alt: str, kind: str = "pixels") -> str:
    """A picture that is held in the page."""
    return f'<img class="{kind}" src="{uri}" alt="{escape(alt, quote=True)}">'


def chip(colour: str) -> str:
    """The colour of a world beside its name."""
    return f'<span class="chip" style="background:{colour}"></span>'


def table(head: list[str], rows: list[list[str]], numbers: set[int], kind: str = "") -> str:
    """A table; the columns in `numbers` are set to the right."""

    def cells(row: list[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="number">{cell}</{tag}>'
            if place in numbers
            else f"<{tag}>{cell}</{tag}>"
            for place, cell in enumerate(row)
        )

    lines = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="card scroll"><table class="{kind}"><thead><tr>{cells(head, "th")}</tr>'
        f"</thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )
