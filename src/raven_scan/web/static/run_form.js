// The form of a new training run: the browser holds what is typed, the server says what would become of it.

function ravenReadForm() {
  const given = {};
  for (const field of document.querySelectorAll(".run-form [name]")) {
    given[field.name] = field.type === "checkbox" ? field.checked : field.value;
  }
  return given;
}

let ravenFormTimer = 0;

// All of the form, shortly after the last of several changes.
function ravenTellForm(event, emit) {
  const changed = event.target.name || "";
  clearTimeout(ravenFormTimer);
  ravenFormTimer = setTimeout(() => emit({ ...ravenReadForm(), changed }), 250);
}

function ravenFillForm(fields) {
  for (const [name, value] of Object.entries(fields)) {
    const field = document.querySelector(`.run-form [name="${name}"]`);
    if (field) field.value = value;
  }
  document.querySelector(".run-form")?.dispatchEvent(new Event("input", { bubbles: true }));
}

// problems: what is wrong, by field. defaults: what fields that are left empty become.
function ravenMarkForm(problems, defaults) {
  for (const field of document.querySelectorAll(".run-form [name]")) {
    const problem = problems[field.name] || "";
    const said = document.getElementById("problem-" + field.name);
    if (said) said.textContent = problem;
    if (problem) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    if (field.name in defaults && "placeholder" in field) field.placeholder = defaults[field.name];
    // What is wrong is not hidden.
    if (problem) field.closest("details")?.setAttribute("open", "");
  }
}
