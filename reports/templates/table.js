"use strict";
const page = JSON.parse(document.getElementById("page-data").textContent);
const ROWS_AT_FIRST = 60;

function parseCsv(text) {
  const rows = [];
  let row = [], cell = "", isQuoted = false;
  for (let place = 0; place < text.length; place++) {
    const sign = text[place];
    if (isQuoted) {
      if (sign !== '"') cell += sign;
      else if (text[place + 1] === '"') { cell += '"'; place++; }
      else isQuoted = false;
    } else if (sign === '"') isQuoted = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n") { row.push(cell); rows.push(row); row = []; cell = ""; }
    else if (sign !== "\r") cell += sign;
  }
  if (cell !== "" || row.length) { row.push(cell); rows.push(row); }
  return rows;
}

function writeNumber(text) {
  return /^-?\d{4,}$/.test(text) ? text.replace(/\B(?=(\d{3})+$)/g, ",") : text;
}

function compareCells(first, second) {
  const empty = (first === "") - (second === "");
  if (empty) return empty;
  const one = Number(first), two = Number(second);
  if (!Number.isNaN(one) && !Number.isNaN(two)) return one - two;
  return first.localeCompare(second, "en", { numeric: true });
}

class SortableTable {
  // columns: {name, unit, meaning, isWord, isShown}; rows: arrays of texts in the order of the columns.
  constructor(root, columns, rows) {
    this.root = root;
    this.columns = columns;
    this.rows = rows;
    this.sorted = null;
    this.isDescending = false;
    this.limit = ROWS_AT_FIRST;
    this.table = root.querySelector("table");
    this.count = root.querySelector(".count");
    this.filters = [...root.querySelectorAll("[data-filter]")];
    for (const filter of this.filters) filter.addEventListener("input", () => this.draw());
    root.querySelector(".more").addEventListener("click", () => { this.limit = Infinity; this.draw(); });
    this.draw();
  }

  shown() {
    return this.columns.map((column, place) => ({ ...column, place })).filter((column) => column.isShown);
  }

  chosen() {
    let rows = this.rows;
    for (const filter of this.filters) {
      const wanted = filter.value.trim().toLowerCase();
      if (!wanted) continue;
      const place = this.columns.findIndex((column) => column.name === filter.dataset.filter);
      // The kind conv2d would match every search for a layer conv2; it has a filter of its own.
      const words = this.columns.map((column, index) => (column.isWord && column.name !== "kind" ? index : -1))
        .filter((index) => index >= 0);
      rows = place >= 0
        ? rows.filter((row) => row[place].toLowerCase() === wanted)
        : rows.filter((row) => wanted.split(/\s+/).every((part) => words.some((index) => row[index].toLowerCase().includes(part))));
    }
    if (this.sorted === null) return rows;
    const sign = this.isDescending ? -1 : 1;
    return [...rows].sort((first, second) => {
      const one = first[this.sorted], two = second[this.sorted];
      // An empty cell stays last, whichever way the column is sorted.
      return one === "" || two === "" ? compareCells(one, two) : sign * compareCells(one, two);
    });
  }

  sortBy(column) {
    this.isDescending = this.sorted === column.place ? !this.isDescending : !column.isWord;
    this.sorted = column.place;
    this.draw();
  }

  drawHead(columns) {
    const head = document.createElement("thead");
    const row = head.insertRow();
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = column.isWord ? "word" : "";
      cell.title = column.meaning || "";
      if (this.sorted === column.place) cell.ariaSort = this.isDescending ? "descending" : "ascending";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.label || column.name;
      button.addEventListener("click", () => this.sortBy(column));
      cell.append(button);
      if (column.unit) {
        const unit = document.createElement("small");
        unit.textContent = column.unit;
        cell.append(unit);
      }
      row.append(cell);
    }
    return head;
  }

  draw() {
    const columns = this.shown(), rows = this.chosen();
    const body = document.createElement("tbody");
    for (const row of rows.slice(0, this.limit)) {
      const line = body.insertRow();
      for (const column of columns) {
        const cell = line.insertCell();
        cell.className = column.isWord ? "word" : "";
        cell.dataset.value = row[column.place];
        cell.textContent = column.isWord ? row[column.place] : writeNumber(row[column.place]);
      }
    }
    this.table.replaceChildren(this.drawHead(columns), body);
    const drawn = Math.min(rows.length, this.limit);
    this.count.textContent = `${drawn} of ${rows.length} matching rows shown; ${this.rows.length} rows in all.`;
    this.root.querySelector(".more").hidden = drawn === rows.length;
  }
}

function fillChoices(select, values) {
  for (const value of [...new Set(values)]) {
    const option = document.createElement("option");
    option.value = option.textContent = value;
    select.append(option);
  }
}

function makeChooser(root, table) {
  const box = root.querySelector(".columns");
  for (const column of table.columns) {
    const label = document.createElement("label"), input = document.createElement("input");
    input.type = "checkbox";
    input.checked = column.isShown;
    input.addEventListener("change", () => { column.isShown = input.checked; table.draw(); });
    label.title = column.meaning || "";
    label.append(input, column.name);
    box.append(label);
  }
}

function offerDownload(button, name, text) {
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

function makeStepsTable(root) {
  const source = page.tables[root.dataset.table];
  const [names, ...rows] = parseCsv(source.csv);
  const known = Object.fromEntries(source.columns.map((column) => [column.name, column]));
  const columns = names.map((name) => ({ name, unit: "", meaning: "", isWord: false, isShown: false, ...known[name] }));
  for (const select of root.querySelectorAll("select[data-filter]")) {
    const place = names.indexOf(select.dataset.filter);
    fillChoices(select, rows.map((row) => row[place]));
  }
  const table = new SortableTable(root, columns, rows);
  makeChooser(root, table);
  offerDownload(root.querySelector(".download"), source.file, source.csv);
}

function writeRatio(value, base) {
  return base > 0 && value !== null && base !== null ? (value / base).toFixed(3) : "";
}

function makeDifferences(root) {
  const { entries, keys } = page.differences;
  const choice = root.querySelector("[data-baseline]"), measure = root.querySelector("[data-measure]");
  entries.forEach((entry, place) => choice.append(new Option(entry.label, place)));
  const columnsOf = () => [
    { name: "layer", isWord: true, isShown: true }, { name: "step", isWord: true, isShown: true },
    ...entries.flatMap((entry) => [
      { name: entry.label, unit: measure.value === "cycles" ? "cycles" : "pJ", isShown: true },
      { name: entry.label + " / baseline", label: "/ baseline", unit: "ratio", meaning: entry.label, isShown: true },
    ]),
  ];
  const rowsOf = () => keys.map(([layer, step], row) => {
    const base = entries[Number(choice.value)][measure.value][row];
    return [layer, step, ...entries.flatMap((entry) => {
      const value = entry[measure.value][row];
      return [value === null ? "" : String(value), writeRatio(value, base)];
    })];
  });
  choice.value = String(page.differences.baseline);
  const table = new SortableTable(root, columnsOf(), rowsOf());
  const change = () => { table.columns = columnsOf(); table.rows = rowsOf(); table.draw(); };
  choice.addEventListener("change", change);
  measure.addEventListener("change", change);
}

for (const root of document.querySelectorAll("[data-table]")) makeStepsTable(root);
for (const root of document.querySelectorAll("[data-differences]")) makeDifferences(root);
