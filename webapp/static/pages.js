// What Gradio's components cannot do safely: uploads through our own route (its file
// components would let any signed-in person read server files), signing out, opening a page.
// All text goes in through textContent.

const STATE_ID = "overread-upload-state";

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function readState(id) {
  const holder = document.getElementById(id);
  const field = holder?.querySelector("textarea, input");
  try {
    return JSON.parse(field ? field.value : "");
  } catch {
    return null;
  }
}

const OUTCOMES = {
  admitted: "admitted", held: "held for a person", refused: "refused", checking: "being searched for text",
};
const CHECK_EVERY_MS = 2000;

function resultRow(item) {
  const words = element("td", { textContent: OUTCOMES[item.outcome] ?? item.outcome });
  const more = element("td", { textContent: item.message ?? "" });
  if (item.case_id) {
    const link = element("a", {
      href: `/read?case=${encodeURIComponent(item.case_id)}`,
      textContent: item.outcome === "held" ? "Look and attest" : "Open",
    });
    more.append(" ", link);
  }
  if (item.outcome === "checking") follow(item.case_id, words, more);
  return element("tr", {}, element("td", { textContent: item.file }), words, more);
}

// Asks again and again, for as long as `shown` is on the page; this does not count as being there.
async function searchEnds(caseId, shown, progress) {
  for (;;) {
    await new Promise((later) => setTimeout(later, CHECK_EVERY_MS));
    if (!shown.isConnected) return null;
    const answer = await fetch(`/api/v1/cases/${encodeURIComponent(caseId)}/search`).catch(() => null);
    if (answer && !answer.ok) return null;
    const found = await answer?.json();
    if (!found) continue; // the network is away
    if (found.state !== "checking") return found.state;
    if (found.checked) progress(...found.checked);
  }
}

async function follow(caseId, words, more) {
  const state = await searchEnds(caseId, words, (done, frames) => {
    words.textContent = `${OUTCOMES.checking} (${done} of ${frames})`;
  });
  if (state === null) return;
  words.textContent = OUTCOMES[state];
  more.firstChild.textContent = "";
  more.querySelector("a").textContent = state === "held" ? "Look and attest" : "Open";
}

// The same on the reading page, which opens anew when the search is through.
const SEARCH_STATE = "overread-search-state";
let searched = null;

async function drawSearch() {
  const slot = document.getElementById("overread-search");
  const state = readState(SEARCH_STATE);
  if (!slot || searched === (state?.case_id ?? null)) return;
  searched = state?.case_id ?? null;
  slot.replaceChildren();
  if (!state) return;
  const told = element("p", { className: "hint" });
  told.setAttribute("role", "status");
  const say = (done, frames) => {
    told.textContent = state.told.replace("{done}", done).replace("{frames}", frames);
  };
  say(...state.checked);
  slot.append(element("div", {}, told));
  if (await searchEnds(state.case_id, told, say)) location.reload();
}

function mountUpload(slot) {
  const state = readState(STATE_ID) ?? { collections: [] };
  const chosen = new Map();
  const files = element("input", { type: "file", multiple: true, hidden: true });
  const folder = element("input", { type: "file", multiple: true, hidden: true });
  folder.webkitdirectory = true;
  const pickFiles = element("button", { type: "button", textContent: "Choose files" });
  const pickFolder = element("button", { type: "button", textContent: "Choose a folder" });
  const summary = element("p", { textContent: "No files chosen." });
  summary.setAttribute("aria-live", "polite");
  const drop = element("div", { className: "upload-drop" },
    element("p", { textContent: "Drop DICOM files, a zip or a folder of one series, PNG or JPEG here" }),
    pickFiles, " ", pickFolder, files, folder, summary);
  const names = element("datalist", { id: "overread-collections" },
    ...state.collections.map((name) => element("option", { value: name })));
  const collection = element("input", { type: "text", value: state.collections[0] ?? "", maxLength: 100 });
  collection.setAttribute("list", names.id);
  const send = element("button", { type: "button", className: "primary", textContent: "Upload", disabled: true });
  const cancel = element("button", { type: "button", textContent: "Cancel", hidden: true });
  const bar = element("progress", { max: 1, value: 0, hidden: true });
  const told = element("span", {});
  told.setAttribute("role", "status");
  const results = element("table", { className: "upload-results" });
  const label = element("label", {}, "Collection ", collection);
  slot.replaceChildren(element("div", {}, drop,
    element("div", { className: "upload-row" }, label, names, send, cancel, bar, told), results));

  function show() {
    const bytes = [...chosen.values()].reduce((sum, file) => sum + file.size, 0);
    summary.textContent = chosen.size
      ? `${chosen.size} file${chosen.size > 1 ? "s" : ""}, ${(bytes / 1e6).toFixed(1)} MB`
      : "No files chosen.";
    send.disabled = !chosen.size || !collection.value.trim();
  }
  function add(list) {
    for (const file of list) chosen.set(`${file.webkitRelativePath || file.name}:${file.size}`, file);
    show();
  }
  pickFiles.onclick = () => files.click();
  pickFolder.onclick = () => folder.click();
  files.onchange = () => add(files.files);
  folder.onchange = () => add(folder.files);
  collection.oninput = show;
  drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  };

  send.onclick = () => {
    const body = new FormData();
    body.append("collection", collection.value.trim());
    for (const file of chosen.values()) body.append("files", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/studies");
    request.responseType = "json";
    const finish = (text) => {
      told.textContent = text;
      bar.hidden = cancel.hidden = true;
      show();
    };
    request.upload.onprogress = (event) => {
      bar.value = event.loaded / event.total;
      told.textContent = event.loaded < event.total
        ? `${Math.round((100 * event.loaded) / event.total)} % sent`
        : "Sent. Removing identity and checking every file …";
    };
    request.upload.onload = () => {
      bar.removeAttribute("value");
      told.textContent = "Sent. Removing identity and checking every file …";
    };
    request.onload = () => {
      const answer = request.response;
      if (answer?.items) {
        const count = (word) => answer.items.filter((item) => item.outcome === word).length;
        const head = ["File", "Outcome", "What to do"].map(
          (text) => element("th", { textContent: text, scope: "col" }));
        results.replaceChildren(element("tr", {}, ...head), ...answer.items.map(resultRow));
        chosen.clear();
        const searched = count("checking") ? `, ${count("checking")} being searched for text` : "";
        finish(`${count("admitted")} admitted, ${count("held")} held, ${count("refused")} refused${searched}.`);
      } else {
        finish(answer?.error?.message ?? "The upload did not succeed. Nothing was stored; try again.");
      }
    };
    request.onerror = () => finish("The connection broke. Nothing was stored; try again.");
    request.onabort = () => finish("Cancelled. Nothing was stored.");
    cancel.onclick = () => request.abort();
    bar.hidden = cancel.hidden = false;
    bar.value = 0;
    send.disabled = true;
    results.replaceChildren();
    request.send(body);
  };
  show();
}

function mountAccount(slot) {
  const leave = element("button", { type: "button", textContent: "Sign out" });
  // A form, not a fetch: the answer may lead on to an identity provider.
  const way = element("form", { method: "post", action: "/logout", hidden: true });
  leave.onclick = () => way.submit();
  const password = element("a", { href: "/account/password", textContent: "Password" });
  const who = element("a", { href: "/account", textContent: window.gradio_config?.username ?? "" });
  slot.replaceChildren(who, password, leave, way);
}

// "Next case" leaves an address of ours in a hidden field; nothing else is ever followed.
function followAddress() {
  const field = document.getElementById("overread-goto")?.querySelector("textarea, input");
  if (!field?.value.startsWith("/read?case=")) return;
  const address = field.value;
  field.value = "";
  location.assign(address);
}

// Gradio opens every link of a text in a new tab; a shift would leave a row of them.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[target=_blank]");
  if (link && link.origin === location.origin) link.target = "_self";
}, { capture: true });

// A list of findings: answer, probability, flags, and a way into the review of each draft.
const BATTERY_STATE = "overread-battery-state";
const BATTERY_OPEN = "overread-battery-open";
let opened = 0;
let drawn = null;

function openDraft(id) {
  const field = document.getElementById(BATTERY_OPEN)?.querySelector("textarea, input");
  if (!field) return;
  opened += 1; // so that opening the same draft again is a change too
  const prototype = field instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(prototype.prototype, "value").set.call(field, `${id} ${opened}`);
  field.dispatchEvent(new Event("input", { bubbles: true }));
  setTimeout(() => document.getElementById("overread-correction")?.scrollIntoView({ block: "center" }), 800);
}

function batteryRow(row) {
  const share = element("td", { className: "share" });
  if (row.share !== null) {
    const bar = element("meter", { min: 0, max: 1, value: row.share });
    bar.setAttribute("aria-hidden", "true");
    share.append(bar, ` ${Math.round(row.share * 100)} %`);
  }
  const notes = element("td", { textContent: row.notes.join(" ") });
  const way = element("td");
  if (row.draft_id) {
    const open = element("button", { type: "button", textContent: "Review" });
    open.setAttribute("aria-label", `Review the draft: ${row.finding}`);
    open.onclick = () => openDraft(row.draft_id);
    way.append(open);
  }
  const finding = element("th", { textContent: row.finding, scope: "row" });
  return element("tr", {}, finding, element("td", { textContent: row.answer || "…" }), share, notes, way);
}

function drawBattery() {
  const slot = document.getElementById("overread-battery");
  const field = document.getElementById(BATTERY_STATE)?.querySelector("textarea, input");
  if (!slot || !field || (drawn === field.value && slot.dataset.drawn)) return;
  drawn = field.value;
  slot.dataset.drawn = "1";
  const state = readState(BATTERY_STATE);
  if (!state) {
    slot.replaceChildren();
    return;
  }
  const told = element("span", { textContent: state.progress });
  told.setAttribute("role", "status");
  const head = element("tr", {}, ...["Finding", "Answer", "Probability", "Flags", ""].map(
    (text) => element("th", { textContent: text, scope: "col" })));
  const table = element("table", { className: "battery" },
    element("caption", {}, element("strong", { textContent: state.notice }), " ", told),
    element("thead", {}, head), element("tbody", {}, ...state.rows.map(batteryRow)));
  slot.replaceChildren(element("div", {}, table));
}

const MOUNTS = [["overread-upload", mountUpload, STATE_ID], ["overread-account", mountAccount, null]];

function mountWhatAppeared() {
  for (const [id, mount, needs] of MOUNTS) {
    const slot = document.getElementById(id);
    if (!slot || slot.dataset.mounted) continue;
    if (needs && readState(needs) === null) continue;
    slot.dataset.mounted = "1";
    mount(slot);
  }
  drawBattery();
  drawSearch();
}

new MutationObserver(mountWhatAppeared).observe(document.documentElement, { childList: true, subtree: true });
setInterval(mountWhatAppeared, 500); // a hidden field's value changes without a DOM mutation
setInterval(followAddress, 50);
mountWhatAppeared();

// Signed out after a while without anybody there: a warning before that, so that nobody is
// surprised. Asking for the time left does not count as being there; the button does.
const SESSION = "/account/session";
const LOOK_EVERY_S = 60;
const LOOK_WHILE_WARNING_S = 5;
let signedOutAt = Infinity;
let nextLook = 0;
let warning = null;

function leaveForSignIn() {
  const here = location.pathname + location.search;
  location.assign(`/login?next=${encodeURIComponent(here)}`);
}

function saveWhatIsTyped() {
  // Every field is kept as it is typed; whatever did not reach its handler yet goes now.
  for (const field of document.querySelectorAll("textarea")) {
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function showWarning(left) {
  if (!warning) {
    saveWhatIsTyped();
    const said = element("span", {});
    said.setAttribute("aria-live", "off"); // not every second aloud
    const stay = element("button", { type: "button", textContent: "Stay signed in" });
    stay.onclick = () => lookAtSession("POST");
    warning = element("div", { id: "overread-idle" },
      element("span", { textContent: "Nobody seems to be here. What you have written is kept." }), said, stay);
    warning.setAttribute("role", "alert");
    document.body.append(warning);
  }
  const minutes = Math.floor(left / 60);
  const seconds = String(left % 60).padStart(2, "0");
  warning.children[1].textContent = `You will be signed out in ${minutes}:${seconds}.`;
}

function hideWarning() {
  warning?.remove();
  warning = null;
}

let warnBefore = 0;
async function lookAtSession(method = "GET") {
  nextLook = Date.now() + 1000 * LOOK_EVERY_S;
  let answer;
  try {
    answer = await fetch(SESSION, { method, credentials: "same-origin" });
  } catch {
    return; // the network is away; the next look may find it
  }
  if (answer.status === 401) return leaveForSignIn();
  if (!answer.ok) return;
  const { signed_out_in_s: left, warn_s: warn } = await answer.json();
  signedOutAt = Date.now() + 1000 * left;
  warnBefore = warn;
  countDown();
}

function countDown() {
  const left = Math.max(0, Math.ceil((signedOutAt - Date.now()) / 1000));
  if (left > warnBefore) {
    hideWarning();
  } else {
    showWarning(left);
    nextLook = Math.min(nextLook, Date.now() + 1000 * (left ? LOOK_WHILE_WARNING_S : 0));
  }
}

setInterval(() => {
  if (signedOutAt !== Infinity) countDown();
  if (Date.now() >= nextLook) lookAtSession();
}, 1000);
lookAtSession();
