const boxes = [...document.querySelectorAll(".chart")];
const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
const isTouch = window.matchMedia("(pointer: coarse)").matches;
const PRINT_WIDTH = 680;
let isPrinting = false;

function readColors(isPrint) {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  if (isPrint) return { ink: "#000", soft: "#444", line: "#bbb", grid: "#ddd", panel: "#fff" };
  return { ink: read("--ink"), soft: read("--soft"), line: read("--line"), grid: read("--grid"), panel: read("--panel") };
}

function axisNames(layout) {
  const names = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
  return [...new Set(["xaxis", "yaxis", ...names])];
}

function themeOf(layout, isPrint) {
  const colors = readColors(isPrint);
  const changes = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", "font.color": colors.ink,
    "hoverlabel.bgcolor": colors.panel, "hoverlabel.bordercolor": colors.soft, "hoverlabel.font.color": colors.ink,
    "modebar.color": colors.soft, "modebar.activecolor": colors.ink, "modebar.bgcolor": "rgba(0,0,0,0)",
  };
  for (const axis of axisNames(layout)) {
    changes[axis + ".gridcolor"] = colors.grid;
    changes[axis + ".linecolor"] = colors.line;
    changes[axis + ".tickcolor"] = colors.line;
    changes[axis + ".zerolinecolor"] = colors.line;
  }
  (layout.annotations || []).forEach((one, place) => {
    if (one.name === "label") changes[`annotations[${place}].bgcolor`] = colors.panel;
  });
  return changes;
}

function setPath(target, path, value) {
  const parts = path.replace("[", ".").replace("]", "").split(".");
  const last = parts.pop();
  let place = target;
  for (const part of parts) place = place[part] = place[part] || {};
  place[last] = value;
}

function layoutOf(figure, box) {
  const layout = structuredClone(figure.layout);
  delete layout.title;
  layout.autosize = true;
  layout.font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
  layout.margin = Object.assign({}, layout.margin, { t: layout.showlegend === false ? 12 : 30 });
  layout.hoverlabel = { align: "left", namelength: -1 };
  layout.dragmode = isTouch ? false : layout.dragmode;
  for (const [path, value] of Object.entries(themeOf(layout, isPrinting))) setPath(layout, path, value);
  if (isPrinting) layout.width = printWidth(box);
  return layout;
}

// A chart takes its place before it is drawn, so that nothing moves when it is.
function reservePlace(box) {
  const meta = page.figures[box.dataset.figure].layout.meta || {};
  if (meta.height) box.style.height = meta.height + "px";
  if (meta.min_width) box.style.minWidth = meta.min_width + "px";
}

function drawChart(box) {
  if (box.dataset.drawn) return;
  const figure = page.figures[box.dataset.figure];
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"], displayModeBar: isTouch ? false : "hover" };
  box.dataset.drawn = "yes";
  nearby.unobserve(box);
  Plotly.newPlot(box, figure.data, layoutOf(figure, box), config);
}

function isInView(box) {
  const place = box.getBoundingClientRect();
  return place.bottom > 0 && place.top < window.innerHeight;
}

// Safari has no idle callbacks.
const whenIdle = (callback) =>
  (window.requestIdleCallback ? requestIdleCallback(callback, { timeout: 500 }) : setTimeout(callback, 50));

// What is coming into view is drawn at once; all else one by one while the page has nothing better to do.
const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawChart(entry.target);
}, { rootMargin: "300px 0px" });

function drawNext() {
  const box = boxes.find((one) => !one.dataset.drawn);
  if (box) {
    drawChart(box);
    whenIdle(drawNext);
  } else {
    performance.mark("complete");
    document.documentElement.dataset.drawn = "yes";
  }
}

function start() {
  boxes.forEach(reservePlace);
  boxes.filter(isInView).forEach(drawChart);
  whenIdle(() => {
    performance.mark("interactive");
    for (const box of boxes) if (!box.dataset.drawn) nearby.observe(box);
    whenIdle(drawNext);
  });
}

function printWidth(box) {
  return Math.min(PRINT_WIDTH, box.clientWidth);
}

function changeTheme() {
  for (const box of boxes.filter((one) => one.dataset.drawn)) {
    Plotly.relayout(box, { ...themeOf(box.layout, isPrinting), width: isPrinting ? printWidth(box) : null });
  }
}

function changePrinting(isNow) {
  isPrinting = isNow;
  changeTheme();
  if (isNow) boxes.forEach(drawChart);
}

function listNumbers(figure) {
  const rows = [];
  for (const trace of figure.data) {
    const meta = trace.meta || {};
    const write = (x) => (meta.place ? `${meta.place} ${x}` : x);
    // A band has its numbers in its line, and what is not chosen is not shown.
    if (meta.part === "band" || trace.visible === false) continue;
    if (trace.type === "heatmap") {
      trace.y.forEach((y, row) => trace.x.forEach((x, column) => rows.push([y, write(x), meta.machine, trace.text[row][column]])));
    } else {
      (trace.x || []).forEach((x, place) => {
        const text = trace.text ? trace.text[place] : "", y = trace.y[place];
        // Of points between two quantities the text is the name; of all others it is the exact number.
        const isPoint = trace.type !== "bar" && typeof x === "number" && !meta.place;
        const name = trace.orientation === "h" ? y : isPoint ? text : write(x);
        rows.push([trace.name, name, meta.machine || "", isPoint ? `${x} | ${y}` : text || y]);
      });
    }
  }
  return rows;
}

function decode(text) {
  const box = document.createElement("textarea");
  box.innerHTML = text;
  return box.value;
}

function fillNumbers(details) {
  if (details.querySelector("table")) return;
  const figure = page.figures[details.dataset.figure];
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  const group = (figure.layout.meta || {}).group || "machine";
  for (const words of ["part", "place", group, "number"]) {
    const cell = document.createElement("th");
    cell.className = words === "number" ? "" : "word";
    cell.textContent = words;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const cells of listNumbers(figure)) {
    const row = body.insertRow();
    cells.forEach((words, place) => {
      const cell = row.insertCell();
      cell.className = place < 3 ? "word" : "";
      cell.textContent = decode(String(words));
    });
  }
  const scroll = document.createElement("div");
  scroll.className = "table-scroll";
  scroll.append(table);
  details.append(scroll);
}

// A choice is of all charts that have it: what is compared in one is seen in the others.
function choose(group, value) {
  for (const select of document.querySelectorAll("select[data-choose]")) {
    if (select.dataset.choose === group) select.value = value;
  }
  for (const [name, figure] of Object.entries(page.figures)) {
    if ((figure.layout.meta || {}).choices !== group) continue;
    for (const trace of figure.data) trace.visible = trace.meta.choice === value;
    const box = boxes.find((one) => one.dataset.figure === name);
    if (box.dataset.drawn) Plotly.restyle(box, { visible: figure.data.map((trace) => trace.visible) });
    const details = document.querySelector(`details.data[data-figure="${CSS.escape(name)}"]`);
    details.querySelector(".table-scroll")?.remove();
    if (details.open) fillNumbers(details);
  }
}

for (const select of document.querySelectorAll("select[data-choose]")) {
  // A browser that comes back to a page keeps what was selected in it.
  select.selectedIndex = 0;
  select.addEventListener("change", () => choose(select.dataset.choose, select.value));
}
darkScheme.addEventListener("change", changeTheme);
window.addEventListener("beforeprint", () => changePrinting(true));
window.addEventListener("afterprint", () => changePrinting(false));
for (const details of document.querySelectorAll("details.data")) {
  details.addEventListener("toggle", () => fillNumbers(details));
}
start();
