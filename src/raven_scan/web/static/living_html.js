// HTML that changes while it is read: what stays as it is keeps the keyboard's focus, a press that is under way, what is
// marked, and what was opened. Rows, buttons and links are known by what they are for.

function keyOf(node) {
  if (node.nodeName === "TR") {
    const found = node.querySelector("[data-row], [data-run], a[href]");
    return found && (found.dataset.row || found.dataset.run || found.getAttribute("href"));
  }
  if (node.nodeName === "BUTTON") return node.dataset.act || null;
  return node.nodeName === "A" ? node.getAttribute("href") : null;
}

function fit(now, wanted) {
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== wanted.data) now.data = wanted.data;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (!wanted.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS")) now.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  if (now.nodeName === "INPUT") now.checked = wanted.checked;
  arrange(now, wanted);
}

function arrange(now, wanted) {
  const keys = new Set([...wanted.childNodes].map(keyOf));
  const known = new Map();
  for (const child of [...now.childNodes]) {
    const key = keyOf(child);
    if (key === null) continue;
    if (keys.has(key) && !known.has(key)) known.set(key, child);
    else child.remove();
  }
  let at = now.firstChild;
  for (const child of [...wanted.childNodes]) {
    const key = keyOf(child);
    const found = key === null ? at : known.get(key);
    known.delete(key);
    if (!found || found.nodeName !== child.nodeName || keyOf(found) !== key) {
      now.insertBefore(child, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else now.insertBefore(found, at);
    fit(found, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

export default {
  template: `<component :is="tag"></component>`,
  data: () => ({ shown: "" }),
  mounted() {
    this.$el.innerHTML = this.innerHTML;
    this.shown = this.innerHTML;
  },
  updated() {
    if (this.innerHTML === this.shown) return;
    this.shown = this.innerHTML;
    const wanted = document.createElement("template");
    wanted.innerHTML = this.innerHTML;
    const active = document.activeElement;
    arrange(this.$el, wanted.content);
    if (active !== document.activeElement && this.$el.contains(active)) active.focus({ preventScroll: true });
  },
  props: { innerHTML: String, sanitize: Boolean, tag: String },
};
