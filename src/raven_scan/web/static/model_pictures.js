// Pictures with boxes: the gallery of a review, and trying a model on pictures that are dropped.
// Boxes are shown and hidden here, so that a slider answers at once; all text is set as text, never as HTML.

function ravenMake(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function ravenFill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// A picture with room for its boxes above it. `source`: null where it cannot be shown.
function ravenMakeFrame(picture) {
  const frame = ravenMake("div", { class: "boxed", style: `aspect-ratio: ${picture.width} / ${picture.height}` });
  if (picture.source) {
    const image = ravenMake("img", { src: picture.source, alt: "", loading: "lazy", decoding: "async" });
    frame.append(image);
  }
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  svg.setAttribute("aria-hidden", "true");
  frame.append(svg);
  frame.boxes = svg;
  return frame;
}

// boxes: [{kind, box: [x, y, width, height], colour, label}]; labels are written where `named` is set.
function ravenDrawBoxes(frame, picture, boxes, named = false) {
  const svg = frame.boxes;
  svg.replaceChildren();
  const unit = Math.max(picture.width, picture.height) / 60;
  for (const each of boxes) {
    const [x, y, width, height] = each.box;
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    for (const [key, value] of Object.entries({ x, y, width, height })) rect.setAttribute(key, value);
    rect.setAttribute("class", each.kind);
    rect.setAttribute("vector-effect", "non-scaling-stroke");
    if (each.colour) rect.style.stroke = each.colour;
    const title = document.createElementNS(svg.namespaceURI, "title");
    title.textContent = each.label;
    rect.append(title);
    svg.append(rect);
    if (!named) continue;
    const text = document.createElementNS(svg.namespaceURI, "text");
    text.setAttribute("x", x + unit / 4);
    text.setAttribute("y", each.kind.startsWith("true") ? y + height + unit * 1.1 : Math.max(y - unit / 3, unit));
    text.setAttribute("font-size", unit);
    text.setAttribute("stroke-width", unit / 4);
    text.setAttribute("class", each.kind);
    text.textContent = each.label;
    svg.append(text);
  }
}

function ravenMakeSlider(text, least, value, changed) {
  const label = ravenMake("label", { class: "slider" });
  const name = ravenMake("span", {}, text);
  const input = ravenMake("input", { type: "range", min: least, max: "1", step: "0.01", value });
  const told = ravenMake("output", { class: "mono" }, Number(value).toFixed(2));
  input.addEventListener("input", () => {
    told.textContent = Number(input.value).toFixed(2);
    changed(Number(input.value));
  });
  label.append(name, input, told);
  return label;
}

function ravenShare(a, b) {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  return width <= 0 || height <= 0 ? 0 : width * height;
}

function ravenOverlap(a, b) {
  const shared = ravenShare(a, b);
  return shared / (a[2] * a[3] + b[2] * b[3] - shared || 1);
}

class RavenFindings extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    this.images = JSON.parse(this.dataset.images);
    this.texts = JSON.parse(this.dataset.texts);
    this.images.forEach((image) => this.findTruths(image));
    this.confidence = Math.max(Number(this.dataset.best), Number(this.dataset.least));
    const tools = ravenMake("div", { class: "row-gap findings-tools" });
    tools.append(
      ravenMakeSlider(this.texts.least, this.dataset.least, this.confidence.toFixed(2), (value) => {
        this.confidence = value;
        this.draw();
      }),
      this.makeLegend(),
    );
    const cards = ravenMake("div", { class: "findings" });
    this.cards = this.images.map((image) => this.makeCard(image));
    cards.append(...this.cards.map((card) => card.element));
    this.append(tools, cards);
    this.draw();
  }

  // Which detection found which true box: the surest first, as the figures are reckoned, at IoU 0.5.
  findTruths(image) {
    const hits = image.detections.filter((each) => each.hit).sort((a, b) => b.score - a.score);
    for (const hit of hits) {
      let best = null;
      let most = 0.499;
      for (const truth of image.truth) {
        if (truth.crowd || truth.finder || truth.name !== hit.name) continue;
        const overlap = ravenOverlap(hit.box, truth.box);
        if (overlap > most) [best, most] = [truth, overlap];
      }
      if (best) best.finder = hit;
    }
    // What is found in a crowd is neither right nor a false alarm.
    const crowds = image.truth.filter((truth) => truth.crowd);
    for (const each of image.detections) {
      const area = each.box[2] * each.box[3];
      const isIn = (crowd) => crowd.name === each.name && ravenShare(crowd.box, each.box) >= area / 2;
      each.ignored = !each.hit && crowds.some(isIn);
    }
  }

  list(image) {
    const boxes = [];
    let missed = 0;
    let alarms = 0;
    for (const truth of image.truth) {
      const found = truth.finder && truth.finder.score >= this.confidence;
      if (!truth.crowd && !found) missed += 1;
      const kind = truth.crowd ? "crowd" : found ? "found" : "missed";
      boxes.push({ kind: `true ${kind}`, said: kind, name: truth.name, box: truth.box, label: truth.name });
    }
    for (const each of image.detections) {
      if (each.score < this.confidence) continue;
      const kind = each.hit ? "hit" : each.ignored ? "crowd" : "alarm";
      if (kind === "alarm") alarms += 1;
      const label = `${each.name} ${each.score.toFixed(2)}`;
      boxes.push({ kind: `told ${kind}`, said: kind, name: each.name, score: each.score, box: each.box, label });
    }
    return { boxes, said: ravenFill(this.texts.summary, { missed, alarms }) };
  }

  makeLegend() {
    const legend = ravenMake("ul", { class: "legend" });
    for (const [kind, line] of [["found", "true"], ["missed", "true"], ["hit", "told"], ["alarm", "told"]]) {
      const item = ravenMake("li", { class: `${line} ${kind}` });
      item.append(ravenMake("i"), this.texts[kind]);
      legend.append(item);
    }
    return legend;
  }

  makeCard(image) {
    const element = ravenMake("figure");
    const name = ravenFill(this.texts.enlarge, { name: image.name });
    // `gallery.js` enlarges it.
    const open = ravenMake("button", { type: "button", "aria-label": name, "data-image": "" });
    const small = image.source ? { ...image, source: `${image.source}?size=480` } : image;
    const frame = ravenMakeFrame(small);
    open.append(frame);
    const caption = ravenMake("figcaption");
    const said = ravenMake("span", { class: "small muted" });
    caption.append(ravenMake("span", { class: "file", title: image.name }, image.name), said);
    element.append(open, caption);
    return { image, element, frame, said };
  }

  draw() {
    for (const card of this.cards) {
      const { boxes, said } = this.list(card.image);
      ravenDrawBoxes(card.frame, card.image, boxes);
      card.said.textContent = said;
    }
  }

  readImage(button) {
    const { image } = this.cards.find((card) => card.element.contains(button));
    const { boxes, said } = this.list(image);
    return { name: image.name, src: image.source, about: said, width: image.width, height: image.height, boxes };
  }

  drawBox({ kind, label, box: [x, y, width, height] }, draw) {
    const isTrue = kind.startsWith("true");
    const name = draw("text", { x, y: isTrue ? y + height : y, dy: isTrue ? "1.35em" : "0", class: kind });
    name.textContent = label;
    return [draw("rect", { x, y, width, height, class: kind }), name];
  }

  drawBelow({ boxes }) {
    const table = ravenMake("table", { class: "list" });
    const titles = table.createTHead().insertRow();
    for (const title of [this.texts.kind, this.texts.class, this.texts.confidence]) {
      titles.append(ravenMake("th", {}, title));
    }
    const body = table.createTBody();
    for (const each of boxes) {
      const row = body.insertRow();
      row.insertCell().textContent = this.texts[each.said];
      row.insertCell().textContent = each.name;
      row.insertCell().textContent = each.score === undefined ? "" : each.score.toFixed(2);
    }
    return [table];
  }
}
customElements.define("raven-findings", RavenFindings);

class RavenTrial extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    this.texts = JSON.parse(this.dataset.texts);
    this.colours = JSON.parse(this.dataset.colours);
    this.confidence = Number(this.dataset.confidence);
    this.hidden_classes = new Set();
    this.answer = null;
    this.sources = [];
    this.build();
  }

  disconnectedCallback() {
    this.sources.forEach((each) => URL.revokeObjectURL(each));
    if (this.request) this.request.abort();
  }

  build() {
    const drop = ravenMake("label", { class: "trial-drop" });
    const input = ravenMake("input", { type: "file", multiple: "", accept: "image/*,.tif,.tiff", class: "visually-hidden" });
    drop.append(ravenMake("b", {}, this.texts.drop), ravenMake("span", { class: "muted" }, this.texts.kept), input);
    input.addEventListener("change", () => {
      this.detect([...input.files]);
      input.value = "";
    });
    for (const name of ["dragover", "dragenter"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.detect([...event.dataTransfer.files]);
    });
    this.said = ravenMake("p", { class: "muted", role: "status" });
    this.tools = ravenMake("div", { class: "row-gap findings-tools", hidden: "" });
    this.shown = ravenMake("div", { class: "findings large" });
    this.append(drop, this.said, this.tools, this.shown);
  }

  async detect(files) {
    if (!files.length) return;
    if (this.request) this.request.abort();
    const request = new AbortController();
    this.request = request;
    this.said.className = "muted";
    this.said.textContent = this.texts.sending;
    try {
      const session = await fetch("/api/v1/session", { signal: request.signal }).then((answer) => answer.json());
      const form = new FormData();
      form.append("model", this.dataset.model);
      form.append("min_confidence", this.dataset.least);
      files.forEach((file) => form.append("images", file, file.name));
      const answer = await fetch("/api/v1/detections", {
        method: "POST",
        body: form,
        headers: { "X-CSRF-Token": session.csrf_token || "", Accept: "application/x-ndjson" },
        signal: request.signal,
      });
      if (!answer.ok) throw await answer.json().catch(() => ({}));
      this.show(await this.read(answer), files);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.said.className = "notice bad";
      const told = [problem.detail || problem.message || this.texts.failed, problem.hint];
      this.said.textContent = told.filter(Boolean).join(" ");
    }
  }

  // The last line is the answer; those before tell how far it is.
  async read(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      rest += value || "";
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines.filter(Boolean)) {
        const event = JSON.parse(line);
        if (event.event === "done") return event.result;
        if (event.event === "failed") throw event.error;
        const said = event.total ? this.texts.counted : this.texts.working;
        this.said.textContent = ravenFill(said, { done: event.done, total: event.total });
      }
      if (done) throw { detail: this.texts.failed };
    }
  }

  show(answer, files) {
    this.answer = answer;
    this.sources.forEach((each) => URL.revokeObjectURL(each));
    this.sources = files.map((file) => URL.createObjectURL(file));
    this.hidden_classes.clear();
    this.tools.replaceChildren(
      ravenMakeSlider(this.texts.confidence, this.dataset.least, this.confidence.toFixed(2), (value) => {
        this.confidence = value;
        this.draw();
      }),
      this.makeLegend(),
      this.makeDownload("COCO", () => this.makeCoco(), "application/json", "detections.coco.json"),
      this.makeDownload("CSV", () => this.makeCsv(), "text/csv", "detections.csv"),
    );
    this.tools.hidden = false;
    this.cards = answer.images.map((image, place) => this.makeCard(image, this.sources[place]));
    this.shown.replaceChildren(...this.cards.map((card) => card.element));
    this.draw();
  }

  makeLegend() {
    const legend = ravenMake("ul", { class: "legend" });
    const found = new Set(this.answer.images.flatMap((image) => image.boxes.map((box) => box.class_name)));
    this.answer.classes.forEach((name, number) => {
      if (!found.has(name)) return;
      const item = ravenMake("li");
      const label = ravenMake("label");
      const box = ravenMake("input", { type: "checkbox", checked: "" });
      const colour = ravenMake("i");
      colour.style.borderColor = this.colours[number % this.colours.length];
      box.addEventListener("change", () => {
        if (box.checked) this.hidden_classes.delete(name);
        else this.hidden_classes.add(name);
        this.draw();
      });
      label.append(box, colour, name);
      item.append(label);
      legend.append(item);
    });
    return legend;
  }

  makeDownload(name, make, type, file) {
    const button = ravenMake("button", { type: "button", class: "as-button" }, ravenFill(this.texts.download, { name }));
    button.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([make()], { type }));
      ravenMake("a", { href: address, download: file }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    });
    return button;
  }

  makeCard(image, source) {
    const element = ravenMake("figure");
    const caption = ravenMake("figcaption");
    const said = ravenMake("span", { class: "small muted" });
    caption.append(ravenMake("span", { class: "file", title: image.name }, image.name), said);
    if (image.problem) {
      said.textContent = [image.problem.message, image.problem.hint].filter(Boolean).join(" ");
      element.append(ravenMake("div", { class: "notice warn" }, this.texts.unread), caption);
      return { image, element, frame: null, said };
    }
    const frame = ravenMakeFrame({ ...image, source });
    // Such as TIFF, which browsers do not show: the boxes are where they are all the same.
    frame.querySelector("img").addEventListener("error", (event) => event.target.remove());
    element.append(frame, caption);
    return { image, element, frame, said };
  }

  choose(image) {
    return image.boxes.filter((box) => box.score >= this.confidence && !this.hidden_classes.has(box.class_name));
  }

  draw() {
    let count = 0;
    for (const { image, frame, said } of this.cards) {
      if (!frame) continue;
      const boxes = this.choose(image);
      count += boxes.length;
      said.textContent = ravenFill(this.texts.found, { count: boxes.length });
      const drawn = boxes.map((box) => ({
        kind: "sole",
        box: [box.x, box.y, box.width, box.height],
        colour: this.colours[this.answer.classes.indexOf(box.class_name) % this.colours.length],
        label: `${box.class_name} ${box.score.toFixed(2)}`,
      }));
      ravenDrawBoxes(frame, image, drawn, true);
    }
    this.said.className = "muted";
    this.said.textContent = ravenFill(this.texts.summary, { count, images: this.cards.filter((card) => card.frame).length });
  }

  // As the API's own COCO and CSV, of what is shown.
  makeCoco() {
    const numbers = new Map(this.answer.classes.map((name, place) => [name, place + 1]));
    const images = this.answer.images.filter((image) => !image.problem);
    const annotations = images.flatMap((image, place) =>
      this.choose(image).map((box) => ({
        image_id: place + 1,
        category_id: numbers.get(box.class_name),
        bbox: [box.x, box.y, box.width, box.height],
        area: box.width * box.height,
        iscrowd: 0,
        score: box.score,
      })),
    );
    return JSON.stringify({
      info: { description: `Detections of ${this.answer.model.name}` },
      images: images.map(({ name, width, height }, place) => ({ id: place + 1, file_name: name, width, height })),
      categories: [...numbers].map(([name, id]) => ({ id, name })),
      annotations: annotations.map((each, place) => ({ id: place + 1, ...each })),
      raven: { model: this.answer.model, min_confidence: this.confidence },
    });
  }

  makeCsv() {
    const { id, name, published_name, version } = this.answer.model;
    // A spreadsheet would take such names for formulas.
    const nameOf = (value) => (/^[=+\-@\uff1d\uff0b\uff0d\uff20\x00-\x1f]/.test(value) ? `'${value}` : value);
    const titles = "image,image_width,image_height,class,score,x,y,width,height,model,model_id,published_name,version";
    const lines = this.answer.images.flatMap((image) =>
      this.choose(image).map((box) => [
        nameOf(image.name),
        image.width,
        image.height,
        nameOf(box.class_name),
        box.score.toFixed(6),
        ...[box.x, box.y, box.width, box.height].map((each) => each.toFixed(3)),
        nameOf(name),
        id,
        nameOf(published_name ?? ""),
        version ?? "",
      ]),
    );
    const quote = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
    return [titles, ...lines.map((line) => line.map(quote).join(","))].join("\r\n") + "\r\n";
  }
}
customElements.define("raven-trial", RavenTrial);
