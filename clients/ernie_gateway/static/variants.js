// The same request to every variant of a task, side by side, and how far the answers are apart.
import { html } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";
import { ask } from "./api.js";
import { Drawing } from "./answers.js";
import { cosine } from "./map.js";

export const askAll = async (task, items, options) => {
  const results = [];
  for (const variant of task.variants) results.push(await ask(task.name, items, { ...options, variant })); // in turn: fair times
  return results;
};

// [what is decided, {name: score}] of an answer.
function gist(answer) {
  const spans = answer.entities || answer.slots;
  if (answer.top) return [answer.label, Object.fromEntries(answer.top.map((one) => [one.label, one.score]))];
  if (answer.intent) return [JSON.stringify([answer.intent, answer.slots.map((s) => [s.slot, s.start, s.end])]), { [answer.intent]: answer.score }];
  if (spans) return [JSON.stringify(spans.map((s) => [s.label, s.start, s.end])), Object.fromEntries(spans.map((s) => [`${s.label}${s.start}`, s.score]))];
  if (answer.answers) return [answer.answers[0]?.text, Object.fromEntries(answer.answers.map((a) => [a.text, a.score]))];
  if (answer.labels) return [answer.labels.map((one) => one.label).join(), Object.fromEntries(answer.labels.map((one) => [one.label, one.score]))];
  if (answer.ranking) return [answer.ranking.map((one) => one.index).join(), Object.fromEntries(answer.ranking.map((one) => [one.index, one.score]))];
  if (answer.masks) return [answer.masks.map((mask) => mask[0].token).join(), Object.fromEntries(answer.masks.flatMap((mask, i) => mask.map((one) => [`${i}${one.token}`, one.score])))];
  return ["", "score" in answer ? { score: answer.score } : {}];
}

export function difference(a, b) {
  if (a.embedding) return { same: true, cosine: cosine(a.embedding, b.embedding) };
  const [[decidedA, scoresA], [decidedB, scoresB]] = [gist(a), gist(b)];
  const shared = Object.keys(scoresA).filter((name) => name in scoresB);
  return { same: decidedA === decidedB, largest: Math.max(0, ...shared.map((name) => Math.abs(scoresA[name] - scoresB[name]))) };
}

export const Compared = ({ task, results, inputs }) => html`<div class="columns">${results.map((result, i) => {
  const apart = i > 0 && !result.answers[0].error && !results[0].answers[0].error && difference(results[0].answers[0], result.answers[0]);
  return html`<section><h3>${result.variant} <span class="figure faint">${result.ms.toFixed(1)} ms</span></h3>
    ${i === 0 && html`<p class="verdict base">${t("reference")}</p>`}
    ${apart && html`<p class=${`verdict ${apart.same ? "same" : "other"}`}>${"cosine" in apart ? `cosine ${apart.cosine.toFixed(4)}`
      : `${t(apart.same ? "same" : "differs")} · ${t("largest")} ${apart.largest.toFixed(3)}`}</p>`}
    <${Drawing} task=${task} result=${result} inputs=${inputs} /></section>`;
})}</div>`;
