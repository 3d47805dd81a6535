"""The style sheet of the report: light and dark, wide and narrow, on paper; and what its colours mean.

A colour has one meaning all over the report: what was acted on rightly or wrongly, what was said to be uncertain or
unknown. Classes have blues and greys of their own. All can be told apart by those who do not see red, green or blue.
"""
from typing import Tuple

MEANINGS: Tuple[Tuple[str, str], ...] = (
    ('right', 'acted on rightly'), ('wrong', 'acted on wrongly'), ('uncertain', 'uncertain'),
    ('unknown', 'called unknown'))
"""(style, what it means)"""
ACTED = ('acted', 'acted on, no label')


def legend(*more: Tuple[str, str]) -> str:
    """HTML of what the colours mean; ``more``: (style, meaning) of further ones."""
    return ''.join(f'<span class="key"><i class="part {style}"></i>{text}</span>' for style, text in MEANINGS + more)


STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1c2128;--soft:#5b6572;--line:#e1e5ea;--accent:#0b6bcb;--good:#0a7d5a;--care:#7a6a00;
--bad:#b34200;--goodbg:#e6f5ef;--carebg:#fcf7da;--badbg:#fdece4;--infobg:#eef2f7;
--right:#00a67c;--wrong:#c84a00;--uncertain:#f2d64b;--unknown:#54177a;--acted:#3d4652;
--c0:#dde3ea;--c1:#2f6fb3;--c2:#8fc1ea;--c3:#7486a0;--c4:#b8c7d6;--c5:#5b9bd9;--c6:#9aa9d0;--c7:#4d82a8;--c8:#cddcf0;
--h-right:0,166,124;--h-wrong:200,74,0;--h-uncertain:242,214,75;--h-unknown:84,23,122}
@media (prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1a2027;--ink:#e8ecf1;--soft:#9aa6b3;--line:#2c343e;
--accent:#5aa9ff;--good:#3ecf9a;--care:#e3cf5a;--bad:#ff8a5c;--goodbg:#12301f;--carebg:#302c0f;--badbg:#3a1d12;
--infobg:#202832;--right:#2fc795;--wrong:#e8692a;--uncertain:#f5dd5c;--unknown:#7a2bb0;--acted:#f4f7fa;
--c0:#46515d;--c1:#4d8fd4;--c2:#8fc1ea;--c3:#8497af;--c4:#b4c4d6;--c5:#5b9bd9;--c6:#9aa9d0;--c7:#5d8cac;--c8:#6d80a8;
--h-right:40,170,125;--h-wrong:226,92,50;--h-uncertain:200,176,50;--h-unknown:140,70,200}}
*{box-sizing:border-box}html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 20px 60px}
h1{font-size:1.5rem;margin:8px 0 2px;letter-spacing:-.01em}h2{font-size:1.15rem;margin:34px 0 10px}
h3{font-size:.98rem;margin:0 0 8px}p{margin:6px 0}a{color:var(--accent)}
.sub,.hint{color:var(--soft)}.hint{font-size:.86rem}
nav{display:flex;flex-wrap:wrap;gap:6px 16px;margin:10px 0 18px;font-size:.9rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px 18px;margin:12px 0;
overflow-wrap:anywhere}
.verdict{border-left:6px solid var(--soft)}.verdict.good{border-left-color:var(--good)}
.verdict.care{border-left-color:var(--care)}.verdict.bad{border-left-color:var(--bad)}
.verdict .who{color:var(--soft);font-size:.9rem}.verdict .what{font-size:1.3rem;
font-weight:650;line-height:1.3;margin:2px 0 10px}
.verdict.good .what{color:var(--good)}.verdict.care .what{color:var(--care)}.verdict.bad .what{color:var(--bad)}
.verdict h3{font-size:.86rem;color:var(--soft);margin:12px 0 6px}
ul.points{list-style:none;margin:0;padding:0;display:grid;gap:6px}
ul.points li{padding:6px 10px 6px 34px;border-radius:8px;position:relative;background:var(--infobg)}
ul.points li::before{position:absolute;left:11px;font-weight:700}
li.good{background:var(--goodbg)!important}li.good::before{content:"\\2713";color:var(--good)}
li.care{background:var(--carebg)!important}li.care::before{content:"!";left:14px;color:var(--care)}
li.bad{background:var(--badbg)!important}li.bad::before{content:"\\2717";color:var(--bad)}
li.info::before{content:"\\00b7";left:15px;color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin:12px 0}
.figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.figure b{display:block;font-size:1.35rem;line-height:1.25;font-variant-numeric:tabular-nums}
.figure span{display:block;font-size:.8rem;color:var(--soft);line-height:1.35}
.figure.good b{color:var(--good)}.figure.care b{color:var(--care)}.figure.bad b{color:var(--bad)}
.figure.bad{border-color:var(--bad)}
table.labels td.p,table.labels th.p{min-width:96px}table.labels small{color:var(--soft)}td.none{color:var(--soft)}
table.labels tr:last-child td{border-bottom:0;border-top:2px solid var(--line)}
.stack{display:flex;width:180px;height:12px;border-radius:3px;overflow:hidden;background:var(--line)}
.part{display:inline-block;height:12px}.key .part{width:12px;height:12px}
.part.right{background:var(--right)}.part.wrong{background:var(--wrong)}.part.uncertain{background:var(--uncertain)}
.part.unknown{background:var(--unknown)}.part.acted{background:var(--acted)}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px}.two>.card{margin:0}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--soft)}td:first-child,th:first-child,td.l,th.l{text-align:left}
td.wrap{white-space:normal;overflow-wrap:break-word;min-width:180px;text-align:left}
table.confusion{border-collapse:separate;border-spacing:2px}table.confusion td,table.confusion th{border:0}
table.confusion td{padding:0;text-align:center;border-radius:5px;min-width:44px}
table.confusion td a,table.confusion td span{display:block;padding:8px 4px;color:inherit;text-decoration:none;
border-radius:5px}
table.confusion td a:hover,table.confusion td a:focus{outline:2px solid var(--accent)}
table.confusion td.dark{color:#fff}table.confusion td.uncertain.dark{color:#1c2128}
table.confusion .edge{border-left:6px solid transparent;background-clip:padding-box}
table.confusion tr.edge>*{border-top:6px solid transparent;background-clip:padding-box}
table.confusion th.col{height:86px;vertical-align:bottom;padding:0 4px 6px}
table.confusion th.col div{writing-mode:vertical-rl;transform:rotate(180deg);max-height:110px;
overflow:hidden;text-align:left;margin:0 auto}
.examples{display:none;margin-top:10px;scroll-margin-top:40vh}.examples:target,.examples.first{display:block}
.cells:has(.examples:target) .first:not(:target){display:none}
.shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px}
.shots figure{margin:0;background:var(--infobg);border-radius:8px;overflow:hidden;font-size:.8rem;line-height:1.35}
.shots img{width:100%;aspect-ratio:4/3;object-fit:cover;display:block;background:#000}
.shots figcaption{padding:6px 8px}.shots .is{font-weight:600}.shots .where{color:var(--soft)}
svg{display:block;width:100%;height:auto}svg text{fill:var(--ink);font-family:inherit}
.chart{max-width:420px;margin:0 auto}.forest{max-width:760px;min-width:560px}.timeline{min-width:760px}
.bar60{display:inline-block;width:60px;height:8px;vertical-align:middle}
.tick{font-size:10.5px;fill:var(--soft)!important}.axis{font-size:11.5px;fill:var(--soft)!important}
.note{font-size:11.5px;font-weight:600}.label{font-size:12px}.lane{font-size:11px;fill:var(--soft)!important}
.grid{stroke:var(--line)}.ideal{stroke:var(--soft);stroke-dasharray:4 4}.needed{stroke:var(--soft);stroke-dasharray:3 4}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.s1{stroke:var(--accent)}.s2{stroke:var(--ink)}.s3{stroke:var(--soft)}
.dot.s1{fill:var(--accent)}.dot.s2{fill:var(--ink)}.dot.s3{fill:var(--soft)}
.span{stroke-width:3}.span.better,.dot.better{stroke:var(--good);fill:var(--good)}
.span.worse,.dot.worse{stroke:var(--bad);fill:var(--bad)}.span.tie,.dot.tie,.span.unclear,.dot.unclear,.span.more,.dot.more,.span.less,.dot.less{stroke:var(--soft);fill:var(--soft)}
.bar{fill:var(--line)}.track{fill:var(--line)}.fill.s1{fill:var(--accent);stroke:none}
.mark{fill:var(--card);stroke:var(--ink);stroke-width:2}.plot{fill:var(--infobg)}.tickline{stroke:var(--line)}
.seg{stroke:var(--card);stroke-width:.6}.segtext{font-size:11px;fill:#1c2128!important;font-weight:600}
rect.right{fill:var(--right)}rect.wrong{fill:var(--wrong)}rect.uncertain{fill:var(--uncertain)}
rect.unknown{fill:var(--unknown)}rect.acted{fill:var(--acted)}text.unknown,text.c1{fill:#fff!important}text.c0{fill:var(--ink)!important}
rect.c0{fill:var(--c0)}rect.c1{fill:var(--c1)}rect.c2{fill:var(--c2)}rect.c3{fill:var(--c3)}rect.c4{fill:var(--c4)}
rect.c5{fill:var(--c5)}rect.c6{fill:var(--c6)}rect.c7{fill:var(--c7)}rect.c8{fill:var(--c8)}
.key{display:inline-flex;align-items:center;gap:5px;margin-right:14px;font-size:.86rem;color:var(--soft)}
.key i{width:12px;height:12px;border-radius:3px;display:inline-block}
details>summary{cursor:pointer;color:var(--accent)}
@media (max-width:560px){main{padding:12px 12px 40px}.card{padding:13px 13px}.verdict .what{font-size:1.15rem}
.figures{grid-template-columns:repeat(2,1fr)}.stack{width:56px}table.labels td,table.labels th{padding:5px 3px}
table.labels{font-size:.8rem}table.labels td.p small{display:block}
table.labels td.p,table.labels th.p{min-width:0}th.p{white-space:normal;overflow-wrap:normal}
.shots{grid-template-columns:repeat(2,1fr)}h2{margin-top:26px}}
@media print{body{background:#fff}.examples{display:block}nav{display:none}.card{break-inside:avoid}}
"""
