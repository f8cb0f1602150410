// A large file goes to the server in parts, straight to the uploads of the REST API. It goes on where it broke off: after
// a lost connection or a restart of the server by itself, after the page was closed when the same file is chosen again,
// and while its user looks at other screens.
(() => {
  const worker = document.currentScript.src.replace("uploads.js", "sha256.js");
  const uploads = "/api/v1/uploads";
  const firstPart = 1 << 20;
  const longestWait = 4000;
  const wantedPartMs = 1500;
  let current = null;

  class Refused extends Error {
    constructor(problem, status) {
      super([problem.detail, problem.hint].filter(Boolean).join(" "));
      this.code = problem.code || "";
      this.status = status;
    }
  }

  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  let csrf = null;
  async function ask(path, options = {}, again = true) {
    if (csrf === null) csrf = (await (await fetch("/api/v1/session")).json()).csrf_token || "";
    const answer = await fetch(path, { ...options, headers: { ...options.headers, "X-CSRF-Token": csrf } });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
    if (answer.status === 403 && again) {
      csrf = null; // signed in anew meanwhile
      return ask(path, options, false);
    }
    throw new Refused(problem, answer.status);
  }

  const send = (path, method, body) =>
    ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

  // What comes by itself: no connection, a server that starts, an upload that an earlier request still holds.
  const passes = (error) =>
    !(error instanceof Refused) || error.status >= 500 || error.status === 429 || error.code === "upload.in_use" || error.code === "upload.broken_off";

  function takeDigest(file) {
    return new Promise((done, fail) => {
      const hashing = new Worker(worker);
      hashing.onmessage = ({ data }) => {
        hashing.terminate();
        if (data.sha256) done(data.sha256);
        else fail(new Refused({ detail: data.error }, 400));
      };
      hashing.onerror = (event) => fail(new Refused({ detail: event.message }, 400));
      hashing.postMessage(file);
    });
  }

  class Transfer {
    constructor(file, purpose) {
      this.file = file;
      this.purpose = purpose;
      this.state = "sending";
      this.sent = 0;
      this.problem = "";
      this.id = null;
      this.key = `raven_upload ${purpose} ${file.name} ${file.size} ${file.lastModified}`;
      this.rates = [];
    }

    get isOver() {
      return this.state === "done" || this.state === "failed" || this.state === "cancelled";
    }

    say(state) {
      if (this.state === "cancelled") return;
      this.state = state;
      show();
    }

    async run() {
      const digest = takeDigest(this.file);
      digest.catch(() => {});
      let wait = 500;
      while (!this.isOver) {
        try {
          if (this.state === "paused") {
            await sleep(150);
            continue;
          }
          await this.begin();
          await this.sendAll(() => (wait = 500));
          if (this.isOver || this.state === "paused") continue;
          this.say("verifying");
          await this.complete(await digest);
          localStorage.removeItem(this.key);
          this.say("done");
        } catch (error) {
          if (this.isOver) break;
          if (this.state === "paused") continue;
          if (error.code === "upload.wrong_offset") continue;
          if (error.code === "upload.unknown" && this.id) {
            // It expired, or was deleted elsewhere.
            localStorage.removeItem(this.key);
            this.id = null;
            continue;
          }
          const isReadable = await this.file.slice(0, 1).arrayBuffer().then(() => true, () => false);
          if (!passes(error) || !isReadable) {
            this.problem = isReadable ? error.message : readTexts().changed;
            if (error.code === "upload.checksum_wrong") await this.forget();
            this.say("failed");
            break;
          }
          this.say("waiting");
          await Promise.race([sleep(wait), new Promise((on) => addEventListener("online", on, { once: true }))]);
          wait = Math.min(2 * wait, longestWait);
        }
      }
      letReload();
    }

    async begin() {
      const known = this.id || localStorage.getItem(this.key);
      let upload = null;
      if (known) {
        try {
          upload = await (await ask(`${uploads}/${known}`)).json();
        } catch (error) {
          if (passes(error) || error.status === 401) throw error;
        }
      }
      if (upload === null) {
        const body = { purpose: this.purpose, file_name: this.file.name, size_bytes: this.file.size };
        upload = await (await send(uploads, "POST", body)).json();
      }
      this.id = upload.id;
      this.partBytes = upload.part_bytes;
      this.sent = upload.offset_bytes;
      localStorage.setItem(this.key, this.id);
      if (this.state !== "paused") this.say("sending");
    }

    async sendAll(went) {
      let part = Math.min(firstPart, this.partBytes);
      while (this.sent < this.file.size && this.state === "sending") {
        const started = performance.now();
        const body = this.file.slice(this.sent, this.sent + part);
        this.abort = new AbortController();
        const answer = await ask(`${uploads}/${this.id}`, {
          method: "PATCH",
          headers: { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(this.sent) },
          body,
          signal: this.abort.signal,
        });
        const took = performance.now() - started;
        this.sent = Number(answer.headers.get("Upload-Offset"));
        this.rates = [...this.rates.slice(-7), body.size / took];
        part = took < wantedPartMs ? Math.min(2 * part, this.partBytes) : Math.max(part >> 1, firstPart >> 2);
        went();
        show();
      }
    }

    async complete(sha256) {
      const answer = await send(`${uploads}/${this.id}/complete`, "POST", { sha256 });
      const last = JSON.parse((await answer.text()).trim().split("\n").pop());
      if (last.event === "failed") {
        const { code, message, hint } = last.error;
        throw new Refused({ code, detail: message, hint }, 409);
      }
    }

    async forget() {
      localStorage.removeItem(this.key);
      if (this.id) await ask(`${uploads}/${this.id}`, { method: "DELETE" }).catch(() => {});
    }

    pause() {
      if (this.state === "paused") this.say("sending");
      else {
        this.say("paused");
        this.abort?.abort();
      }
    }

    async cancel() {
      this.state = "cancelled";
      this.abort?.abort();
      letReload();
      current = null;
      show();
      await this.forget();
      tell("dropped", {});
    }

    get secondsLeft() {
      const rate = this.rates.reduce((sum, each) => sum + each, 0) / (this.rates.length || 1);
      return rate ? (this.file.size - this.sent) / rate / 1000 : null;
    }
  }

  // What is on the page now; there is none on other screens.
  const find = () => document.querySelector("[data-upload]");
  const tell = (name, detail) => find()?.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));

  const readTexts = () => JSON.parse(find()?.dataset.texts || "{}");

  function describeSize(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++) bytes /= 1000;
    return `${bytes.toLocaleString(document.documentElement.lang || undefined, { maximumFractionDigits: unit && bytes < 100 ? 1 : 0 })} ${units[unit]}`;
  }

  function describeTime(seconds) {
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
    if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
    return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  }

  const put = (place, text) => {
    if (place.textContent !== text) place.textContent = text;
  };

  function show() {
    const part = find();
    if (!part) return;
    const texts = readTexts();
    const state = part.querySelector(".upload-state");
    state.hidden = current === null;
    part.querySelector(".drop").classList.toggle("small-drop", current !== null);
    if (current === null) return;
    const { file, sent } = current;
    const share = file.size ? sent / file.size : 1;
    put(part.querySelector(".upload-name"), file.name);
    put(part.querySelector(".upload-said"), current.problem || texts[current.state]);
    part.querySelector(".upload-said").classList.toggle("bad-text", current.state === "failed");
    const left = current.state === "sending" ? current.secondsLeft : null;
    const about = [`${describeSize(sent)} / ${describeSize(file.size)}`, `${Math.floor(100 * share)} %`];
    if (left !== null) about.push(texts.left.replace("{time}", describeTime(left)));
    put(part.querySelector(".upload-about"), about.join(" · "));
    const bar = part.querySelector(".bar");
    bar.setAttribute("aria-valuenow", Math.floor(100 * share));
    bar.firstElementChild.style.width = `${100 * share}%`;
    const [pause, cancel] = part.querySelectorAll(".upload-state button");
    pause.hidden = current.isOver || current.state === "verifying";
    put(pause, current.state === "paused" ? texts.goOn : texts.pause);
    cancel.hidden = current.state === "done";
    put(cancel, current.state === "failed" ? texts.close : texts.cancel);
    if (current.state === "done") {
      // From now on the server shows it.
      const { id } = current;
      current = null;
      show();
      tell("uploaded", { id, name: file.name });
    }
  }

  function begin(files, part) {
    const [file] = files;
    if (!file) return;
    if (files.length > 1) return tell("refused", { text: readTexts().one });
    const name = file.name.toLowerCase();
    if (!part.dataset.suffixes.split(" ").some((suffix) => name.endsWith(suffix))) {
      return tell("refused", { text: readTexts().other });
    }
    if (current !== null && !current.isOver) {
      tell("refused", { text: readTexts().busy });
      return;
    }
    holdReload();
    current = new Transfer(file, part.dataset.upload);
    show();
    current.run();
  }

  // To be called each time that the part of the page was made.
  window.ravenUploads = (part) => {
    if (!part || part.dataset.ready) return;
    part.dataset.ready = "yes";
    const zone = part.querySelector(".drop");
    const input = part.querySelector("input[type=file]");
    input.addEventListener("change", () => {
      begin(input.files, part);
      input.value = "";
    });
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const [item] = event.dataTransfer.items;
      if (item?.webkitGetAsEntry?.()?.isDirectory) return tell("refused", { text: readTexts().folder });
      begin(event.dataTransfer.files, part);
    });
    const [pause, cancel] = part.querySelectorAll(".upload-state button");
    pause.addEventListener("click", () => current?.pause());
    cancel.addEventListener("click", () => current?.cancel());
    window.ravenUploads.dismiss();
  };

  // Shows no more of an upload that is over.
  window.ravenUploads.dismiss = () => {
    if (current?.isOver) current = null;
    show();
  };

  // A file that misses its place must not replace the page.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());

  // After a restart of the server NiceGUI loads the page anew, which would end what is being sent. It waits.
  let isHeld = false;
  let waiting = null;
  function holdReload() {
    if (isHeld || !window.socket) return;
    isHeld = true;
    addEventListener("beforeunload", warn);
    const { socket } = window;
    if (socket.isHeldByUploads) return;
    socket.isHeldByUploads = true;
    const later = (reload) => (isHeld ? (waiting = reload) : reload());
    const emit = socket.emit.bind(socket);
    socket.emit = (name, ...args) => {
      if (name === "handshake") {
        const [query, done] = args;
        return emit(name, query, (ok) => (ok ? done(ok) : later(() => done(ok))));
      }
      return emit(name, ...args);
    };
    for (const name of ["connect_error", "try_reconnect"]) {
      const listeners = socket.listeners(name);
      socket.off(name);
      for (const listener of listeners) {
        socket.on(name, (...args) => later(() => listener(...args)));
      }
    }
  }

  function letReload() {
    isHeld = false;
    removeEventListener("beforeunload", warn);
    const reload = waiting;
    waiting = null;
    reload?.();
  }

  function warn(event) {
    event.preventDefault();
  }
})();
