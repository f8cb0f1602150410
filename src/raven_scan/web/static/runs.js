// Charts and logs of training runs. They grow in the browser: the server sends what is new alone.

// By the id of the part of the page that the charts are in: its charts, and points by the metric's name.
const ravenBoards = new Map();
const RAVEN_MOST_POINTS = 4000;
const RAVEN_MOST_LOG = 400000;

// charts: [{id, names: {metric: label}, prefix, choice: {first, most, said} or null}]; metrics as for ravenTellMetrics.
function ravenBoard(board, charts, metrics) {
  for (const old of ravenBoards.keys()) if (!document.getElementById("c" + old)) ravenBoards.delete(old);
  ravenBoards.set(board, { charts, points: new Map(), due: new Set(), isNew: true });
  ravenTellMetrics(board, metrics);
}

// metrics: [{after: step} or {points: {name: [[step, value], …]}}, …], in this order.
function ravenTellMetrics(board, metrics) {
  const known = ravenBoards.get(board);
  if (!known) return;
  for (const told of metrics) {
    if (told.after !== undefined) {
      for (const [name, points] of known.points) {
        known.points.set(name, points.filter((point) => point[0] <= told.after));
        known.due.add(name);
      }
    }
    for (const [name, added] of Object.entries(told.points || {})) {
      const points = known.points.get(name) || [];
      let last = points.length ? points[points.length - 1][0] : -1;
      for (const point of added) {
        if (point[0] <= last) continue;
        points.push(point);
        last = point[0];
      }
      known.points.set(name, points.length > RAVEN_MOST_POINTS ? ravenThin(points) : points);
      known.due.add(name);
    }
  }
  // A page that nobody looks at draws nothing.
  requestAnimationFrame(() => ravenDrawBoard(board));
}

function ravenThin(points) {
  const recent = points.length - 500;
  return points.filter((_, index) => index % 2 === 0 || index >= recent);
}

function ravenDrawBoard(board, isForced) {
  const known = ravenBoards.get(board);
  if (!known) return;
  // At first also what has no lines yet gets its colours.
  isForced ||= known.isNew;
  known.isNew = false;
  if (!known.due.size && !isForced) return;
  for (const chart of known.charts) {
    const names = [...known.points.keys()].filter((name) => name in chart.names || (chart.prefix && name.startsWith(chart.prefix)));
    if (!isForced && !names.some((name) => known.due.has(name))) continue;
    const order = chart.choice ? chart.choice.first : Object.keys(chart.names);
    const places = new Map(order.map((name, place) => [name, place]));
    const last = order.length;
    names.sort((one, other) => (places.get(one) ?? last) - (places.get(other) ?? last) || one.localeCompare(other));
    const label = (name) => chart.names[name] || name.slice((chart.prefix || "").length);
    const drawn = chart.choice ? ravenChoose(board, chart, names, label) : names;
    // Of a line among many the look stays the same, whichever others are drawn.
    const looks = chart.choice ? (name) => names.indexOf(name) : () => undefined;
    ravenShowLines(chart.id, drawn.map((name) => ({ name: label(name), points: known.points.get(name), look: looks(name) })));
  }
  known.due.clear();
}

// Which of many lines are drawn: those that are ticked in boxes under the chart, which are made as names come in.
function ravenChoose(board, chart, names, label) {
  if (names.length <= chart.choice.most) return names;
  const place = document.getElementById("c" + chart.id)?.parentElement;
  if (!place) return [];
  let part = place.querySelector("details.lines");
  if (!part) {
    part = document.createElement("details");
    part.className = "lines";
    part.append(document.createElement("summary"), document.createElement("fieldset"));
    part.addEventListener("change", () => ravenDrawBoard(board, true));
    place.append(part);
  }
  const [summary, boxes] = part.children;
  const ticks = new Map([...boxes.querySelectorAll("input")].map((box) => [box.value, box]));
  if (names.some((name) => !ticks.has(name))) {
    // Until now all of them were drawn, or none was there: those that come first are.
    const isNew = !ticks.size;
    names.forEach((name, index) => {
      if (ticks.has(name)) return;
      const line = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.value = name;
      box.checked = isNew && index < chart.choice.most;
      line.append(box, label(name));
      boxes.append(line);
      ticks.set(name, box);
    });
  }
  const drawn = names.filter((name) => ticks.get(name).checked);
  const said = chart.choice.said.replace("{shown}", drawn.length).replace("{count}", names.length);
  if (summary.textContent !== said) {
    summary.textContent = said;
    boxes.setAttribute("aria-label", said);
  }
  return drawn;
}

const ravenLines = new Map();

const RAVEN_LONGEST_LEGEND = 28;

function ravenShorten(name) {
  return name.length > RAVEN_LONGEST_LEGEND ? `${name.slice(0, RAVEN_LONGEST_LEGEND - 1)}…` : name;
}

const RAVEN_STROKES = ["solid", "dashed", "dotted"];

// How a line looks among many: colours first, then strokes.
function ravenLook(look, colours) {
  if (look === undefined) return { lineStyle: { width: 2 } };
  const color = colours[look % colours.length];
  const stroke = RAVEN_STROKES[Math.floor(look / colours.length) % RAVEN_STROKES.length];
  return { itemStyle: { color }, lineStyle: { width: 2, color, type: stroke } };
}

// lines: [{name, points: [[step, value], …], look: its number among many or undefined}]
function ravenShowLines(id, lines, tries = 0) {
  for (const old of ravenLines.keys()) if (!document.getElementById("c" + old)) ravenLines.delete(old);
  ravenLines.set(id, lines);
  const chart = getElement(id)?.chart;
  if (!chart) {
    // ECharts is loaded when it is first needed.
    if (tries < 200) setTimeout(() => ravenLines.get(id) === lines && ravenShowLines(id, lines, tries + 1), 50);
    return;
  }
  if (!chart.ravenIsKept) {
    chart.ravenIsKept = true;
    // What NiceGUI has to say of a new chart may come after its lines, and takes them away. ECharts tells of it while
    // it takes no options.
    chart.on("rendered", () => {
      const kept = ravenLines.get(id);
      if (kept?.length && !chart.getOption().series?.length) setTimeout(() => ravenShowLines(id, kept), 0);
    });
  }
  const style = getComputedStyle(document.body);
  const [ink, muted, line, sheet] = ["--ink", "--muted", "--line", "--sheet"].map((name) => style.getPropertyValue(name));
  const axis = { axisLabel: { color: muted }, axisLine: { lineStyle: { color: line } }, nameTextStyle: { color: muted } };
  chart.setOption(
    {
      series: lines.map((each) => ({
        name: each.name,
        type: "line",
        data: each.points,
        showSymbol: each.points.length < 30,
        symbolSize: 5,
        ...ravenLook(each.look, chart.getOption().color),
        connectNulls: false,
      })),
      legend: { textStyle: { color: ink }, formatter: ravenShorten, pageTextStyle: { color: muted }, pageIconColor: muted },
      xAxis: axis,
      yAxis: { ...axis, splitLine: { lineStyle: { color: line } } },
      tooltip: {
        backgroundColor: sheet,
        borderColor: line,
        textStyle: { color: ink },
        order: lines.some((each) => each.look !== undefined) ? "valueDesc" : "seriesAsc",
        valueFormatter: (value) => (value == null ? "–" : Number(Number(value).toPrecision(4)).toLocaleString(undefined, { maximumSignificantDigits: 4 })),
      },
    },
    { replaceMerge: ["series"] },
  );
  const empty = document.getElementById("c" + id)?.parentElement?.querySelector(".chart-empty");
  if (empty) empty.hidden = lines.some((each) => each.points.length);
}

// Charts are pictures: in the other light they are drawn anew.
addEventListener("DOMContentLoaded", () =>
  new MutationObserver(() => {
    // Of a copy: one whose chart is gone is put at the map's end again, and would be come to for ever. An open dialog
    // changes the body's classes, too.
    for (const [id, lines] of [...ravenLines]) if (document.getElementById("c" + id)) ravenShowLines(id, lines);
  }).observe(document.body, {
    attributes: true,
    attributeFilter: ["class"],
  }),
);

// The log. `text` follows what is there.
function ravenTellLog(text) {
  const log = document.getElementById("run-log");
  if (!log || !text) return;
  const empty = document.getElementById("run-log-empty");
  if (empty) empty.hidden = true;
  log.hidden = false;
  log.append(text);
  if (log.textContent.length > RAVEN_MOST_LOG) {
    const kept = log.textContent.slice(-RAVEN_MOST_LOG / 2);
    log.textContent = kept.slice(kept.indexOf("\n") + 1);
  }
  if (document.getElementById("run-log-follow")?.checked) log.scrollTop = log.scrollHeight;
}

// Who scrolls up wants to read: it stands still until they follow again.
addEventListener(
  "wheel",
  (event) => {
    const follow = document.getElementById("run-log-follow");
    if (follow && event.deltaY < 0 && event.target.closest?.("#run-log")) follow.checked = false;
  },
  { passive: true },
);
addEventListener("change", (event) => {
  const log = document.getElementById("run-log");
  if (event.target.id === "run-log-follow" && event.target.checked && log) log.scrollTop = log.scrollHeight;
});

function ravenTellRun(board, metrics, text) {
  if (metrics.length) ravenTellMetrics(board, metrics);
  ravenTellLog(text);
}
