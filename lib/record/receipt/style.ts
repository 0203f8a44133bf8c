/** How the page looks: on a screen in light and in dark, on paper in black. */
import { hash } from 'node:crypto'

export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1a1d21; --soft: #555c66; --line: #d5d9df; --band: #f5f6f8;
  --good: #14692f; --kept: #7a4a00; --bad: #a8121c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e8eaed; --soft: #a9b1bc; --line: #363c45; --band: #1d2127;
    --good: #7fd39a; --kept: #f0bd6a; --bad: #ff9a9a;
  }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, 'DejaVu Sans', sans-serif; }
body { margin: 0; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1rem; font-weight: 600; margin: 0 0 1rem; color: var(--soft); }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; line-height: 1.3; }
p { margin: .4rem 0; max-width: 44rem; }
.outcome { border-left: .3rem solid var(--tone); padding: .1rem 0 .1rem 1rem; }
.outcome strong { display: block; margin-bottom: .3rem; font-size: 1.7rem; line-height: 1.25; color: var(--tone); }
.good { --tone: var(--good); }
.kept { --tone: var(--kept); }
.bad { --tone: var(--bad); }
.plain { --tone: var(--soft); }
td.tone { color: var(--tone); font-weight: 600; }
.soft { color: var(--soft); }
dl { display: grid; grid-template-columns: minmax(8rem, 13rem) 1fr; gap: .35rem 1.25rem; margin: 1.5rem 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: .875em/1.4 ui-monospace, 'DejaVu Sans Mono', monospace; overflow-wrap: anywhere; }
pre { background: var(--band); padding: .6rem .8rem; margin: .6rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid currentColor; outline-offset: 3px; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem 1.25rem .5rem 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-size: .8125rem; font-weight: 600; color: var(--soft); vertical-align: bottom; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 7rem; }
td { overflow-wrap: break-word; min-width: 6rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; min-width: 4rem; }
.whole { white-space: nowrap; }
tbody th span { display: block; font-weight: 400; font-size: .8125rem; color: var(--soft); }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
}
@page { margin: 18mm 16mm; @bottom-right { content: counter(page) ' / ' counter(pages); font: 8pt sans-serif; } }
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ink: #000; --soft: #444; --line: #999; --band: #fff;
    --good: #000; --kept: #000; --bad: #000;
  }
  html { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  pre { border: 1px solid var(--line); }
  h2 { break-after: avoid; margin-top: 1.6rem; }
  section, tr, .outcome, pre { break-inside: avoid; }
}
`

/** For the page's own policy: this style and nothing else, so that even a slip in escaping loads and runs nothing. */
export const STYLE_HASH = `sha256-${hash('sha256', STYLE, 'base64')}`
