// What is asked: the inputs of a task as text fields, its examples, its variant and prefix.
import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";

const isList = (task) => ["embedding"].includes(task.kind);
const LONG = ["context", "candidates"];

// Between an item of the API and the strings in the fields.
export function toFields(task, item) {
  if (isList(task)) return { text: (Array.isArray(item) ? item : [item]).join("\n") };
  if (typeof item === "string") return { text: item };
  return Object.fromEntries(task.inputs.map((name) => [name, Array.isArray(item[name]) ? item[name].join("\n") : item[name]]));
}

export function toItems(task, fields) {
  const lines = (text) => (text || "").split("\n").map((line) => line.trim()).filter(Boolean);
  if (isList(task)) return lines(fields.text);
  if (task.inputs.length === 1) return [fields[task.inputs[0]] || ""];
  return [Object.fromEntries(task.inputs.map((name) => [name, name === "candidates" ? lines(fields[name]) : fields[name] || ""]))];
}

const MAPPED = 8, SHORT = 40; // texts on the first map, characters of each

// What the fields hold at first. A map needs several texts: other tasks lend theirs. Candidates of one query go together.
export function firstFields(task, tasks) {
  if (!task.examples.length) return {};
  if (isList(task)) {
    const lent = tasks.filter((one) => one !== task && !/mask|ranking|question/.test(one.kind))
      .flatMap((one) => one.examples.slice(0, 2).flatMap((example) => (typeof example === "string" ? [example] : [example.text, example.text_pair])));
    const texts = [...new Set([...task.examples, ...lent])].filter((text) => text && Array.from(text).length <= SHORT);
    return toFields(task, texts.slice(0, MAPPED));
  }
  const [first] = task.examples;
  if (!first.candidates) return toFields(task, first);
  const same = task.examples.filter((example) => example.query === first.query);
  return toFields(task, { ...first, candidates: [...new Set(same.flatMap((example) => example.candidates))] });
}

const shown = (example) => (typeof example === "string" ? example : Object.values(example).flat().join(" | "));

export function Composer({ task, fields, onFields, options, onOptions, onAsk, busy }) {
  const first = useRef(null);
  useEffect(() => {
    const focus = (event) => {
      if (event.key === "/" && !/^(TEXTAREA|INPUT|SELECT)$/.test(document.activeElement.tagName)) {
        event.preventDefault();
        first.current?.focus();
      }
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  const onKey = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && onAsk();
  const select = (name, choices, none) => html`<label class="option"><span>${t(name)}</span>
    <select value=${options[name] || ""} onChange=${(event) => onOptions({ ...options, [name]: event.target.value })}>
      ${none && html`<option value="">${t("none")}</option>`}${choices.map((one) => html`<option value=${one}>${one}</option>`)}
    </select></label>`;
  return html`<form class="card composer" onSubmit=${(event) => { event.preventDefault(); onAsk(); }}>
    ${task.inputs.map((name, i) => html`<label class="field" for=${`in-${name}`}>
      <span>${t(isList(task) ? "texts" : name)}</span>
      <textarea id=${`in-${name}`} ref=${i === 0 ? first : null} onKeyDown=${onKey} spellcheck=${false}
        rows=${isList(task) ? 8 : LONG.includes(name) ? 5 : task.inputs.length > 1 ? 2 : 3} value=${fields[name] || ""}
        onInput=${(event) => onFields({ ...fields, [name]: event.target.value })}></textarea></label>`)}
    ${!isList(task) && new Set(task.examples.map((example) => example.query ?? example)).size > 1 && html`<div class="examples"><span class="eyebrow">${t("examples")}</span>
      ${task.examples.slice(0, 6).map((example) => html`<button type="button" class="example" title=${shown(example)}
        onClick=${() => onAsk(toFields(task, example))}>${shown(example)}</button>`)}</div>`}
    <div class="actions">
      ${task.variants.length > 1 && select("variant", task.variants)}
      ${task.prefixes.length > 0 && select("prefix", task.prefixes, true)}
      <span class="grow"></span>
      <kbd>Ctrl ↵</kbd>
      <button type="submit" class="primary" disabled=${busy}>${busy ? t("asking") : t("ask")}</button>
    </div></form>`;
}
