// Charts and logs of training runs. They grow in the browser: the server sends what is new alone.

// By the id of the part of the page that the charts are in: its charts, and points by the metric's name.
const ravenBoards = new Map();
const RAVEN_MOST_POINTS = 4000;
const RAVEN_MOST_LOG = 400000;

// charts: [{id, names: {metric: label}, prefix}]; metrics as for ravenTell.
function ravenBoard(board, charts, metrics) {
  for (const old of ravenBoards.keys()) if (!document.getElementById("c" + old)) ravenBoards.delete(old);
  ravenBoards.set(board, { charts, points: new Map(), due: new Set() });
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
  if (!known || (!known.due.size && !isForced)) return;
  for (const chart of known.charts) {
    const names = [...known.points.keys()].filter((name) => name in chart.names || (chart.prefix && name.startsWith(chart.prefix)));
    if (!isForced && !names.some((name) => known.due.has(name))) continue;
    const order = Object.keys(chart.names);
    names.sort((one, other) => (order.indexOf(one) + 1 || 99) - (order.indexOf(other) + 1 || 99) || one.localeCompare(other));
    ravenShowLines(chart.id, names.map((name) => ({ name: chart.names[name] || name.slice((chart.prefix || "").length), points: known.points.get(name) })));
  }
  known.due.clear();
}

const ravenLines = new Map();

// lines: [{name, points: [[step, value], …]}]
function ravenShowLines(id, lines, tries = 0) {
  for (const old of ravenLines.keys()) if (!document.getElementById("c" + old)) ravenLines.delete(old);
  ravenLines.set(id, lines);
  const chart = getElement(id)?.chart;
  if (!chart) {
    // ECharts is loaded when it is first needed.
    if (tries < 200) setTimeout(() => ravenLines.get(id) === lines && ravenShowLines(id, lines, tries + 1), 50);
    return;
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
        lineStyle: { width: 2 },
        connectNulls: false,
      })),
      legend: { textStyle: { color: ink }, pageTextStyle: { color: muted }, pageIconColor: muted },
      xAxis: axis,
      yAxis: { ...axis, splitLine: { lineStyle: { color: line } } },
      tooltip: {
        backgroundColor: sheet,
        borderColor: line,
        textStyle: { color: ink },
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
