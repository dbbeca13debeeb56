/** How the page looks, by day and by night, on wide screens and on phones. */
import { html } from "./html.ts";

export const style = html`
:root {
  --ground: #fff; --raised: #f6f8fa; --line: #d8dee4; --text: #1f2328; --soft: #59636e; --link: #0550ae; --focus: #2f6feb;
  --get: #0550ae; --post: #116329; --delete: #a40e26; --key: #0550ae; --string: #0a5c36; --number: #953800; --mark: #ddf4ff;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --raised: #161b22; --line: #30363d; --text: #e6edf3; --soft: #9198a1; --link: #79b8ff; --focus: #58a6ff;
    --get: #79b8ff; --post: #56d364; --delete: #ff8f87; --key: #79b8ff; --string: #7ee787; --number: #ffa657; --mark: #0c2d4d;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; display: grid; grid-template: "nav header" auto "nav main" 1fr / 20rem minmax(0, 1fr); }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 4px; }
code, pre, .path, .verb { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
code { font-size: .875em; }
p code, td code, li code { background: var(--raised); border-radius: 4px; padding: .1em .3em; overflow-wrap: anywhere; }
small, .type, .media { color: var(--soft); font-size: .875rem; font-weight: 400; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: 1rem; background: var(--ground); padding: .5rem; z-index: 2; }

header { grid-area: header; display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: .5rem 1.5rem; padding: 1.75rem 2.5rem 0; max-width: 62rem; }
h1 { font-size: 1.6rem; letter-spacing: -.01em; margin: 0; }
h1 small { font-size: 1rem; margin-left: .25rem; }
main { grid-area: main; padding: .5rem 2.5rem 6rem; max-width: 62rem; min-width: 0; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .25rem; }
h2 + p { margin: 0 0 1rem; color: var(--soft); }
h3 { font-size: .95rem; margin: 1.75rem 0 .4rem; }
.tools { display: flex; gap: 1rem; align-items: center; min-height: 2.25rem; }
button { font: inherit; font-size: .85rem; color: var(--text); background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .3rem .75rem; cursor: pointer; }
button:hover { border-color: var(--soft); }

nav { grid-area: nav; position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem 3rem 1.25rem; border-right: 1px solid var(--line); background: var(--raised); font-size: .85rem; }
nav h2 { font-size: .85rem; margin: 1.25rem 0 .25rem; }
nav h2 a { color: var(--text); text-decoration: none; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .5rem; padding: .2rem .35rem; border-radius: 6px; color: var(--soft); text-decoration: none; font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .76rem; overflow-wrap: anywhere; }
nav a:hover { color: var(--text); background: var(--mark); }
nav .verb { font-size: .66rem; min-width: 3.1rem; padding-top: .1rem; }
input { width: 100%; font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: .45rem .7rem; }

.verb { font-weight: 700; font-size: .78rem; letter-spacing: .02em; }
.get { color: var(--get); } .post { color: var(--post); } .delete { color: var(--delete); }
.op { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; background: var(--ground); scroll-margin-top: 1rem; }
.op[open] { box-shadow: 0 1px 6px rgb(0 0 0 / .06); }
.op > summary { display: grid; grid-template-columns: 3.6rem minmax(8rem, max-content) minmax(8rem, 1fr) max-content; align-items: baseline; gap: 0 .75rem; padding: .6rem 1rem; cursor: pointer; list-style: none; border-radius: 8px; }
.op > summary::-webkit-details-marker { display: none; }
.op > summary:hover, .op[open] > summary { background: var(--raised); }
.op[open] > summary { border-bottom: 1px solid var(--line); border-radius: 8px 8px 0 0; }
.reference .op > summary { display: block; }
.path { font-size: .875rem; font-weight: 600; overflow-wrap: anywhere; }
.what { color: var(--soft); font-size: .9rem; }
.scope { font-size: .75rem; color: var(--soft); border: 1px solid var(--line); border-radius: 99px; padding: .05rem .6rem; }
.scope.open { border-style: dashed; }
.body { padding: .25rem 1.25rem 1.25rem; min-width: 0; }
.type, .media { margin: .5rem 0 .25rem; }
.or { color: var(--soft); margin: .25rem 0; }
.status { font: 600 .8rem ui-monospace, monospace; color: var(--post); border: 1px solid currentColor; border-radius: 4px; padding: 0 .35rem; }
.status { white-space: nowrap; }
.codes tbody th { width: 16rem; }
.codes td:nth-child(2) { width: 4.5rem; }
.status.bad { color: var(--delete); }

table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .25rem 0 .75rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-top: 1px solid var(--line); font-weight: 400; overflow-wrap: anywhere; }
thead th { white-space: nowrap; border-top: 0; color: var(--soft); font-size: .78rem; padding-bottom: .2rem; }
tbody th { width: 42%; }
tbody th code { font-weight: 600; }
tbody th span { color: var(--soft); font-size: .8rem; margin-left: .5rem; }
dl thead { position: absolute; left: -999rem; }
.need { font-size: .72rem; font-weight: 600; color: var(--number); }
dl { margin: .5rem 0; }
dt { margin-top: 1rem; font-weight: 600; }
dd { margin: 0; padding-left: 1rem; border-left: 2px solid var(--line); }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; overflow-x: auto; margin: .6rem 0; line-height: 1.45; }
pre i { font-style: normal; }
.k { color: var(--key); } .s { color: var(--string); } .n { color: var(--number); }
.command { position: relative; }
.command pre { padding-right: 5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.copy { position: absolute; top: .5rem; right: .5rem; }

@media (max-width: 60rem) {
  body { display: block; }
  header, main { padding-left: 1rem; padding-right: 1rem; }
  nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line); padding: .75rem 1rem; margin-top: 1rem; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
  nav ul { display: none; }
  nav h2 { margin: 0; font-weight: 400; }
  nav h2 a { color: var(--link); text-decoration: underline; }
  .op > summary { grid-template-columns: 3.6rem minmax(0, 1fr) max-content; padding: .6rem .75rem; }
  .what { grid-column: 1 / -1; grid-row: 2; }
  .body { padding: .25rem .75rem 1rem; }
  tbody th span { display: block; margin: 0; }
  .codes tbody th { width: 38%; }
  .command pre { padding-right: 1rem; padding-bottom: 3rem; }
  .copy { top: auto; bottom: .6rem; }
}
@media print {
  body { display: block; }
  nav, .copy, .tools { display: none; }
}
`;
