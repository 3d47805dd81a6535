"""The style sheet of the report: light and dark, wide and narrow, on paper."""

STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1c2128;--soft:#5b6572;--line:#e1e5ea;--accent:#0b6bcb;--good:#0a7d5a;--care:#a86600;
--bad:#c2410c;--goodbg:#e6f5ef;--carebg:#fdf3e0;--badbg:#fdece4;--infobg:#eef2f7;--acc:#009e73;--unc:#e69f00;--unk:#d55e00;
--c0:#8a94a3;--c1:#0072b2;--c2:#56b4e9;--c3:#7a5cc0;--c4:#cc79a7;--c5:#3f8f3f;--c6:#b08d2a;--c7:#5f7d95;--c8:#9c4f4f;
--heat:11,107,203;--h-right:10,125,90;--h-wrong:214,69,20;--h-silent:224,158,20}
@media (prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1a2027;--ink:#e8ecf1;--soft:#9aa6b3;--line:#2c343e;
--accent:#5aa9ff;--good:#3ecf9a;--care:#f0b04c;--bad:#ff8a5c;--goodbg:#12301f;--carebg:#33270f;--badbg:#3a1d12;
--infobg:#202832;--c0:#6d7886;--c1:#3d9bd8;--c3:#9d84dd;--c5:#5cb35c;--heat:90,169,255;--h-right:40,170,125;--h-wrong:226,92,50;--h-silent:190,140,40}}
*{box-sizing:border-box}html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 20px 60px}
h1{font-size:1.5rem;margin:8px 0 2px;letter-spacing:-.01em}h2{font-size:1.15rem;margin:34px 0 10px}
h3{font-size:.98rem;margin:0 0 8px}p{margin:6px 0}a{color:var(--accent)}
.sub,.hint{color:var(--soft)}.hint{font-size:.86rem}
nav{display:flex;flex-wrap:wrap;gap:6px 16px;margin:10px 0 18px;font-size:.9rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px 18px;margin:12px 0;
overflow-wrap:anywhere}
.verdict{border-left:6px solid var(--c0)}.verdict.good{border-left-color:var(--good)}
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
.part.right{background:var(--acc)}.part.wrong{background:var(--unk)}.part.uncertain{background:var(--unc)}
.part.unknown{background:var(--c3)}.part.unknown.ok{background:var(--acc)}
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
table.confusion td.dark{color:#fff}table.confusion .edge{border-left:6px solid transparent;background-clip:padding-box}
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
.line{fill:none;stroke-width:2;stroke-linejoin:round}.s1{stroke:var(--accent)}.s2{stroke:var(--unk)}.s3{stroke:var(--acc)}
.dot.s1{fill:var(--accent)}.dot.s2{fill:var(--unk)}.dot.s3{fill:var(--acc)}
.span{stroke-width:3}.span.better,.dot.better{stroke:var(--good);fill:var(--good)}
.span.worse,.dot.worse{stroke:var(--bad);fill:var(--bad)}.span.tie,.dot.tie,.span.unclear,.dot.unclear,.span.more,.dot.more,.span.less,.dot.less{stroke:var(--c0);fill:var(--c0)}
.bar{fill:var(--line)}.track{fill:var(--line)}.fill.s1{fill:var(--accent);stroke:none}
.mark{fill:var(--card);stroke:var(--ink);stroke-width:2}.plot{fill:var(--infobg)}.tickline{stroke:var(--line)}
.seg{stroke:var(--card);stroke-width:.6}.segtext{font-size:11px;fill:#fff!important;font-weight:600}
rect.accepted{fill:var(--acc)}rect.uncertain{fill:var(--unc)}rect.unknown{fill:var(--unk)}text.uncertain{fill:#1c2128!important}
rect.c0{fill:var(--c0)}rect.c1{fill:var(--c1)}rect.c2{fill:var(--c2)}rect.c3{fill:var(--c3)}rect.c4{fill:var(--c4)}
rect.c5{fill:var(--c5)}rect.c6{fill:var(--c6)}rect.c7{fill:var(--c7)}rect.c8{fill:var(--c8)}
.key{display:inline-flex;align-items:center;gap:5px;margin-right:14px;font-size:.86rem;color:var(--soft)}
.key i{width:12px;height:12px;border-radius:3px;display:inline-block}
details>summary{cursor:pointer;color:var(--accent)}
@media (max-width:560px){main{padding:12px 12px 40px}.card{padding:13px 13px}.verdict .what{font-size:1.15rem}
.figures{grid-template-columns:repeat(2,1fr)}.stack{width:90px}
table.labels td.p,table.labels th.p{min-width:0}th.p{white-space:normal}
.shots{grid-template-columns:repeat(2,1fr)}h2{margin-top:26px}}
@media print{body{background:#fff}.examples{display:block}nav{display:none}.card{break-inside:avoid}}
"""
