// The page: which task, what was asked, what came back.
import { html, render, useCallback, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { language, setLanguage, t, titleOf } from "./i18n.js";
import { ask, key, listTasks } from "./api.js";
import { Composer, firstFields, toItems } from "./ask.js";
import { Drawing, Json } from "./answers.js";
import { Tabs } from "./parts.js";
import { Code } from "./code.js";
import { Compared, askAll } from "./variants.js";
import { FileTable } from "./file.js";

const AGAIN = 4000; // ms until a server that is down is asked again
const ORDER = ["sequence_classification", "token_classification", "question_answering", "intent_slots", "hierarchical_classification",
  "similarity", "pair_classification", "ranking", "embedding", "token_embedding", "pair_embedding", "fill_mask"];
const rank = (kind) => (ORDER.indexOf(kind) + ORDER.length + 1) % (ORDER.length + 1);
const fromAddress = () => decodeURIComponent(location.hash.replace(/^#\/?/, ""));

function Header({ onLanguage }) {
  const [theme, setTheme] = useState(localStorage.getItem("theme") || "system");
  const next = { system: "light", light: "dark", dark: "system" }[theme];
  const turn = () => {
    setTheme(next);
    if (next === "system") { localStorage.removeItem("theme"); delete document.documentElement.dataset.theme; }
    else { localStorage.setItem("theme", next); document.documentElement.dataset.theme = next; }
  };
  return html`<header class="bar"><a class="skip" href="#in" onClick=${(event) => { event.preventDefault(); document.querySelector("textarea")?.focus(); }}>${t("skip")}</a>
    <span class="brand"><i class="mark"></i>ERNIE <em>on Triton</em></span><span class="grow"></span>
    <a class="quiet" href="/openapi.json">API</a>
    <button type="button" class="quiet" onClick=${turn} title=${t("theme")}>${t(theme)}</button>
    <button type="button" class="quiet" lang=${language() === "zh" ? "en" : "zh"} onClick=${onLanguage}>${t("language")}</button></header>`;
}

function Picker({ tasks, active }) {
  const kinds = [...new Set(tasks.map((task) => task.kind))].sort((a, b) => rank(a) - rank(b));
  return html`<nav class="picker" aria-label=${t("tasks")}>
    <select aria-label=${t("tasks")} value=${active?.name} onChange=${(event) => { location.hash = `/${event.target.value}`; }}>
      ${kinds.map((kind) => html`<optgroup label=${t(kind)}>${tasks.filter((task) => task.kind === kind).map((task) => html`<option value=${task.name}>${task.name}</option>`)}</optgroup>`)}</select>
    ${kinds.map((kind) => html`<section><h2 class="eyebrow">${t(kind)}</h2><ul>${tasks.filter((task) => task.kind === kind).map((task) => html`<li>
      <a href=${`#/${task.name}`} aria-current=${task === active ? "page" : undefined} title=${task.title}>${task.name}</a></li>`)}</ul></section>`)}</nav>`;
}

const title = (task) => titleOf(task.name) || task.title.replace(/\s*\([^()]*\)\s*$/, "");
const source = (task) => task.title.match(/\(([^()]*)\)\s*$/)?.[1];

function About({ task }) {
  const figure = task.metrics[task.main_metric];
  return html`<div class="about"><p class="eyebrow">${t(task.kind)}</p><h1>${title(task)}</h1>
    <p class="facts"><code>${task.name}</code>${source(task) && html`<span>${source(task)}</span>`}
      ${figure !== undefined && html`<span>${task.main_metric.replaceAll("_", " ")} <b class="figure">${figure.toFixed(1)}</b> <span class="faint">${t("evaluated")} ${task.evaluated_on}</span></span>`}
      <span class="faint">${task.variant} · ${t("version")} ${task.version}</span></p></div>`;
}

const Timing = ({ result }) => {
  const first = result.answers[0];
  const tokens = result.answers.reduce((sum, one) => sum + (one.tokens || 0), 0);
  return html`<footer class="timing"><span><b class="figure">${tokens}</b> ${t("tokens")}</span>
    ${first.windows && html`<span><b class="figure">${first.windows}</b> ${t(first.windows > 1 ? "windows" : "window")}</span>`}
    <span><b class="figure">${result.ms.toFixed(1)}</b> ms ${t("inModel")}</span><span><b class="figure">${result.roundTrip.toFixed(1)}</b> ms ${t("roundTrip")}</span>
    <span>${result.variant}</span>${first.truncated && html`<span class="warn">${t("truncated")}</span>`}</footer>`;
};

function Workbench({ task, tasks, onDown }) {
  const [fields, setFields] = useState(() => firstFields(task, tasks));
  const [options, setOptions] = useState({ variant: task.variant });
  const [state, setState] = useState({}); // {result, inputs, compared, error, busy}
  const [tab, setTab] = useState("drawn");
  const current = useRef(null);
  const fail = (error) => {
    if (error.name === "AbortError") return;
    if (error.status === 0 || error.status === 401) onDown(error);
    setState((old) => ({ ...old, busy: false, error: error.message || t("down") }));
  };
  const run = async (other, view = tab) => {
    current.current?.abort();
    const aborter = new AbortController();
    current.current = aborter;
    const inputs = toItems(task, other || fields);
    if (other) setFields(other);
    setState((old) => ({ ...old, busy: true, error: null }));
    try {
      if (view === "compared") {
        const compared = await askAll(task, inputs, { prefix: options.prefix, signal: aborter.signal });
        setState({ compared, result: compared[0], inputs });
      } else {
        setState({ result: await ask(task.name, inputs, { ...options, signal: aborter.signal }), inputs });
        if (tab === "file") setTab("drawn");
      }
    } catch (error) { fail(error); }
  };
  useEffect(() => { if (task.examples.length) run(); return () => current.current?.abort(); }, []);
  const pick = (name) => { setTab(name); if (name === "compared" && !state.compared) run(null, name); };
  const { result, inputs, compared, error, busy } = state;
  const tabs = ["drawn", ...(task.variants.length > 1 ? ["compared"] : []), "details", "request", "file"];
  const views = {
    drawn: () => (result ? html`<${Drawing} key=${result.ms} task=${task} result=${result} inputs=${inputs} />` : html`<p class="note empty">${t("empty")}</p>`),
    compared: () => compared && html`<${Compared} task=${task} results=${compared} inputs=${inputs} />`,
    details: () => result && html`<${Json} value=${result.answers.length > 1 ? result.answers : result.answers[0]} />`,
    request: () => html`<${Code} task=${task} items=${toItems(task, fields)} options=${options.variant === task.variant ? { prefix: options.prefix } : options} />`,
    file: () => html`<${FileTable} task=${task} onError=${fail} />`,
  };
  return html`<${About} task=${task} />
    <${Composer} task=${task} fields=${fields} onFields=${setFields} options=${options} onOptions=${setOptions} busy=${busy} onAsk=${(other) => run(other)} />
    <section class="card answer" aria-busy=${Boolean(busy)}>
      <${Tabs} id="tab" names=${tabs} active=${tab} onPick=${pick} label=${t("answer")} />
      <div role="tabpanel" aria-labelledby=${`tab-${tab}`} aria-live="polite" class=${`panel ${busy ? "busy" : ""}`}>
        ${error && html`<p class="alert" role="alert">${error}</p>`}
        ${busy && !result ? html`<div class="skeleton"><i></i><i></i><i></i></div>` : (!error || tab === "file" || tab === "request") && views[tab]()}
      </div>${result && !error && tab === "drawn" && html`<${Timing} result=${result} />`}</section>`;
}

function Notice({ error, onRetry }) {
  const [typed, setTyped] = useState("");
  if (error.status === 401) {
    const use = (event) => { event.preventDefault(); key.set(typed.trim()); onRetry(); };
    return html`<form class="card notice" onSubmit=${use}><h1>${t("keyNeeded")}</h1><p class="note">${error.message}</p>
      <label class="field" for="key"><span>${t("key")}</span><input id="key" type="password" autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></label>
      <button type="submit" class="primary">${t("use")}</button></form>`;
  }
  return html`<div class="card notice" role="alert"><i class="pulse"></i><h1>${t(error.status === 0 ? "down" : "noServer")}</h1>
    <p class="note">${error.message} ${t("waiting")}</p><button type="button" class="primary" onClick=${onRetry}>${t("retry")}</button></div>`;
}

const NoTasks = () => html`<div class="card notice"><h1>${t("noTasks")}</h1><p class="note">${t("noTasksHow")}</p>
  <pre class="code">ernie-triton build --tasks tnews --profile demo${"\n"}ernie-triton serve --gateway</pre></div>`;

function App() {
  const [tasks, setTasks] = useState(null);
  const [error, setError] = useState(null);
  const [name, setName] = useState(fromAddress());
  const [, setTongue] = useState(language());
  const load = useCallback(() => listTasks().then((list) => { setTasks(list); setError(null); }, setError), []);
  useEffect(() => {
    load();
    const follow = () => setName(fromAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => {
    if (!error || error.status === 401) return undefined;
    const timer = setInterval(load, AGAIN);
    return () => clearInterval(timer);
  }, [error]);
  const turn = () => { setLanguage(language() === "zh" ? "en" : "zh"); setTongue(language()); };
  const active = tasks && (tasks.find((task) => task.name === name) || [...tasks].sort((a, b) => rank(a.kind) - rank(b.kind))[0]);
  let main = html`<div class="skeleton page"><i></i><i></i><i></i></div>`;
  if (error) main = html`<${Notice} error=${error} onRetry=${load} />`;
  else if (tasks && !tasks.length) main = html`<${NoTasks} />`;
  else if (active) main = html`<${Workbench} key=${active.name} task=${active} tasks=${tasks} onDown=${setError} />`;
  return html`<${Header} onLanguage=${turn} />
    <div class="frame">${!error && tasks?.length > 0 && html`<${Picker} tasks=${tasks} active=${active} />`}<main>${main}</main></div>`;
}

document.getElementById("app").textContent = "";
render(html`<${App} />`, document.getElementById("app"));
