// Small parts that several answers are drawn with.
import { html, useState } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";

export const percent = (score) => `${(score * 100).toFixed(score > 0.0995 ? 0 : 1)}%`;

// The same hue for the same name, everywhere on the page.
export function hue(name) {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return (hash * 137.508) % 360;
}

export const Bar = ({ label, score, best, note }) => html`
  <div class=${`row ${best ? "best" : ""}`}>
    <span class="row-label" title=${label}>${label}${note && html`<small>${note}</small>`}</span>
    <span class="track"><i style=${{ width: `${Math.max(score * 100, 0.4)}%` }}></i></span>
    <span class="figure">${percent(score)}</span>
  </div>`;

// The text with its spans marked. Offsets count characters (code points), which JavaScript's strings do not.
export function Marked({ text, spans, active, onActive = () => {} }) {
  const letters = Array.from(text);
  const parts = [];
  let at = 0;
  [...spans].sort((a, b) => a.start - b.start).forEach((span) => {
    if (span.start < at) return; // overlaps the one before
    parts.push(letters.slice(at, span.start).join(""));
    const tip = `${span.label} · ${percent(span.score)} · ${span.start}–${span.end}`;
    parts.push(html`<mark tabindex="0" data-tip=${span.value && span.value !== span.text ? `${tip} · ${span.value}` : tip}
      class=${active === span ? "active" : ""} style=${{ "--hue": hue(span.label) }}
      onMouseEnter=${() => onActive(span)} onMouseLeave=${() => onActive(null)}
      >${letters.slice(span.start, span.end).join("")}${span.tag !== false && html`<span class="tag">${span.label}</span>`}</mark>`);
    at = span.end;
  });
  parts.push(letters.slice(at).join(""));
  return html`<p class="marked">${parts}</p>`;
}

export function Copy({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<button type="button" class="quiet" onClick=${copy}>${copied ? t("copied") : t("copy")}</button>`;
}

export const Tabs = ({ names, active, onPick, label, id }) => {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(active) + step + names.length) % names.length];
    onPick(next);
    event.currentTarget.children[names.indexOf(next)].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${names.map((name) => html`<button type="button" role="tab" id=${`${id}-${name}`} aria-selected=${name === active}
      tabindex=${name === active ? 0 : -1} onClick=${() => onPick(name)}>${t(name)}</button>`)}
  </div>`;
};
