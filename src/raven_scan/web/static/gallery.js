// The large view of a gallery of images with boxes: arrows lead to the next, Escape back; it zooms and moves.
//
// A gallery is an element with [data-gallery], in which each button [data-image] holds an image as JSON: src, name, about,
// width, height and boxes (label, x, y, width, height, crowd) in its pixels, with the total number of boxes. What turns
// its pages are buttons [data-turn="-1"] and [data-turn="1"] around it. A gallery that is an element of its own kind may
// say itself what is in an image (`readImage(button)`), how a box is drawn (`drawBox(box, draw)`), and what is written
// below (`drawBelow(image)`).
(() => {
  const most = 12;
  let view = null;

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  function draw(tag, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  class View {
    constructor(gallery) {
      this.gallery = gallery;
      this.texts = JSON.parse(gallery.dataset.texts);
      this.classes = JSON.parse(gallery.dataset.classes || "[]");
      this.colours = JSON.parse(gallery.dataset.colours || "[]");
      this.showsBoxes = true;
      const button = (name, act, mark) =>
        make("button", { type: "button", class: "look-button", "aria-label": this.texts[name], title: this.texts[name], onclick: act }, mark);
      this.name = make("h2", { id: "look-name" });
      this.about = make("span", { class: "muted small" });
      this.boxes = button("boxes", () => this.toggle(), "▣");
      this.boxes.setAttribute("aria-pressed", "true");
      this.frame = make("div", { class: "look-frame", tabindex: "-1" });
      this.picture = make("img", { class: "look-picture", alt: "" });
      this.overlay = draw("svg", { class: "look-overlay", "aria-hidden": "true" });
      this.stage = make("div", { class: "look-stage" }, this.picture, this.overlay);
      this.frame.append(this.stage);
      this.below = make("div", { class: "look-classes small", tabindex: "0" });
      this.dialog = make(
        "dialog",
        { class: "look", "aria-labelledby": "look-name" },
        make(
          "div",
          { class: "look-head" },
          make("div", { class: "look-title", "aria-live": "polite" }, this.name, this.about),
          this.boxes,
          button("smaller", () => this.zoom(1 / 1.5), "−"),
          button("larger", () => this.zoom(1.5), "+"),
          button("whole", () => this.fit(), "⤢"),
          button("close", () => this.dialog.close(), "✕"),
        ),
        make(
          "div",
          { class: "look-middle" },
          (this.before = button("before", () => this.go(-1), "‹")),
          this.frame,
          (this.after = button("after", () => this.go(1), "›")),
        ),
        this.below,
      );
      this.listen();
      document.body.append(this.dialog);
      this.dialog.showModal();
    }

    listen() {
      const { dialog, frame } = this;
      dialog.addEventListener("close", () => {
        dialog.remove();
        this.watch?.disconnect();
        view = null;
        this.list()[this.index]?.focus();
      });
      dialog.addEventListener("keydown", (event) => {
        const act = {
          ArrowLeft: () => this.go(-1),
          ArrowRight: () => this.go(1),
          "+": () => this.zoom(1.5),
          "-": () => this.zoom(1 / 1.5),
          0: () => this.fit(),
          b: () => this.toggle(),
        }[event.key];
        if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        act();
      });
      frame.addEventListener(
        "wheel",
        (event) => {
          event.preventDefault();
          this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
        },
        { passive: false },
      );
      frame.addEventListener("dblclick", (event) => (this.factor > 1 ? this.fit() : this.zoom(3, event)));
      const fingers = new Map();
      frame.addEventListener("pointerdown", (event) => {
        frame.setPointerCapture(event.pointerId);
        fingers.set(event.pointerId, event);
      });
      frame.addEventListener("pointermove", (event) => {
        const last = fingers.get(event.pointerId);
        if (!last) return;
        fingers.set(event.pointerId, event);
        const other = [...fingers.values()].find((each) => each.pointerId !== event.pointerId);
        if (other) {
          const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
          this.zoom(apart(event) / Math.max(apart(last), 1), event);
        } else this.move(event.clientX - last.clientX, event.clientY - last.clientY);
      });
      for (const name of ["pointerup", "pointercancel"]) {
        frame.addEventListener(name, (event) => fingers.delete(event.pointerId));
      }
      new ResizeObserver(() => this.image && this.fit()).observe(frame);
      // Back leads to another screen, over which it would stay.
      addEventListener("popstate", () => dialog.close(), { once: true });
    }

    list() {
      return [...this.gallery.querySelectorAll("[data-image]")];
    }

    turn(by) {
      return this.gallery.parentElement.closest("section")?.querySelector(`[data-turn="${by}"]`);
    }

    show(index) {
      const buttons = this.list();
      this.index = index;
      this.image = this.gallery.readImage?.(buttons[index]) ?? JSON.parse(buttons[index].dataset.image);
      const { image } = this;
      this.name.textContent = image.name;
      this.about.textContent = image.about;
      // There is none for who may not see the dataset.
      if (image.src) this.picture.src = `${image.src}?size=1600`;
      else this.picture.removeAttribute("src");
      this.picture.hidden = !image.src;
      this.picture.alt = image.name;
      this.isFull = false;
      this.before.disabled = index === 0 && !this.canTurn(-1);
      this.after.disabled = index === buttons.length - 1 && !this.canTurn(1);
      this.overlay.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
      this.overlay.replaceChildren(...image.boxes.flatMap((box) => this.drawBox(box)));
      this.below.replaceChildren(...(this.gallery.drawBelow?.(image) ?? this.listClasses()));
      this.fit();
    }

    drawBox(given) {
      if (this.gallery.drawBox) return this.gallery.drawBox(given, draw);
      const [label, x, y, width, height, crowd] = given;
      const colour = this.colours[label % this.colours.length];
      const box = draw("rect", { x, y, width, height, class: crowd ? "crowd" : "" });
      box.style.stroke = colour;
      const name = draw("text", { x, y });
      name.style.fill = colour;
      name.textContent = this.classes[label];
      return [box, name];
    }

    listClasses() {
      const counts = new Map();
      for (const [label] of this.image.boxes) counts.set(label, (counts.get(label) || 0) + 1);
      const classes = [...counts].sort().map(([label, count]) => {
        const swatch = make("span", { class: "swatch" });
        swatch.style.background = this.colours[label % this.colours.length];
        return make("span", { class: "look-class" }, swatch, `${this.classes[label]} ${count}`);
      });
      return this.image.more ? [...classes, make("span", { class: "muted" }, this.image.more)] : classes;
    }

    canTurn(by) {
      const button = this.turn(by);
      return Boolean(button) && !button.disabled;
    }

    go(by) {
      const next = this.index + by;
      if (next >= 0 && next < this.list().length) return this.show(next);
      if (!this.canTurn(by) || this.watch) return;
      // The next page comes from the server.
      const page = this.gallery.dataset.gallery;
      this.watch = new MutationObserver(() => {
        const gallery = document.querySelector("[data-gallery]");
        if (!gallery || gallery.dataset.gallery === page || !gallery.querySelector("[data-image]")) return;
        this.watch.disconnect();
        this.watch = null;
        this.gallery = gallery;
        this.show(by > 0 ? 0 : this.list().length - 1);
      });
      this.watch.observe(this.gallery.parentElement.closest("section"), { childList: true, subtree: true, attributes: true });
      this.turn(by).click();
    }

    toggle() {
      this.showsBoxes = !this.showsBoxes;
      this.overlay.style.visibility = this.showsBoxes ? "" : "hidden";
      this.boxes.setAttribute("aria-pressed", String(this.showsBoxes));
    }

    fit() {
      this.factor = 1;
      this.left = this.top = 0;
      this.place();
    }

    get scale() {
      const { clientWidth, clientHeight } = this.frame;
      const fitting = Math.min(clientWidth / this.image.width, clientHeight / this.image.height);
      return Math.min(fitting, 8) * this.factor;
    }

    place() {
      const { frame, image, scale } = this;
      const width = image.width * scale;
      const height = image.height * scale;
      const reach = (size, room) => Math.max(0, (size - room) / 2);
      const clamp = (value, limit) => Math.min(Math.max(value, -limit), limit);
      this.left = clamp(this.left, reach(width, frame.clientWidth));
      this.top = clamp(this.top, reach(height, frame.clientHeight));
      Object.assign(this.stage.style, {
        width: `${width}px`,
        height: `${height}px`,
        transform: `translate(${(frame.clientWidth - width) / 2 + this.left}px, ${(frame.clientHeight - height) / 2 + this.top}px)`,
      });
      this.overlay.style.fontSize = `${13 / scale}px`;
      this.overlay.style.setProperty("--edge", `${3 / scale}px`);
      frame.classList.toggle("movable", this.factor > 1);
      if (image.src && !this.isFull && Math.max(width, height) * devicePixelRatio > 1700) {
        this.isFull = true;
        const sharp = new Image();
        sharp.onload = () => image === this.image && (this.picture.src = sharp.src);
        sharp.src = `${image.src}?size=4096`;
      }
    }

    zoom(by, at = null) {
      const before = this.factor;
      this.factor = Math.min(Math.max(this.factor * by, 1), most);
      const grown = this.factor / before;
      const { left, top, width, height } = this.frame.getBoundingClientRect();
      const x = at ? at.clientX - left - width / 2 : 0;
      const y = at ? at.clientY - top - height / 2 : 0;
      this.left = x - (x - this.left) * grown;
      this.top = y - (y - this.top) * grown;
      this.place();
    }

    move(x, y) {
      this.left += x;
      this.top += y;
      this.place();
    }
  }

  addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-gallery] [data-image]");
    if (!button) return;
    const gallery = button.closest("[data-gallery]");
    view = view || new View(gallery);
    view.show(view.list().indexOf(button));
  });

  // A browser's mark of a picture that is lost would be taken for what is on it.
  addEventListener(
    "error",
    (event) => {
      if (event.target.matches?.("[data-gallery] img")) event.target.closest("[data-image]").classList.add("lost");
    },
    true,
  );
})();
