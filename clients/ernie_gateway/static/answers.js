// One drawing a kind of answer. `input` is what was asked: a string, or an object for several inputs.
import { html, useState } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";
import { Bar, Marked, hue, percent } from "./parts.js";
import { Vectors } from "./map.js";

const Labels = ({ answer }) => html`
  <div class="bars">${answer.top.map((one, i) => html`<${Bar} ...${one} best=${i === 0} />`)}</div>`;

function Entities({ answer, input }) {
  const [active, setActive] = useState(null);
  if (!answer.entities.length) return html`<${Marked} text=${input} spans=${[]} /><p class="note">${t("noEntities")}</p>`;
  return html`<${Marked} text=${input} spans=${answer.entities} active=${active} onActive=${setActive} />
    <${SpanTable} spans=${answer.entities} active=${active} onActive=${setActive} />`;
}

function Intent({ answer, input }) {
  const [active, setActive] = useState(null);
  const slots = answer.slots.map((slot) => ({ ...slot, label: slot.slot }));
  return html`<div class="bars"><${Bar} label=${answer.intent} score=${answer.score} best /></div>
    <${Marked} text=${input} spans=${slots} active=${active} onActive=${setActive} />
    ${slots.length ? html`<${SpanTable} spans=${slots} active=${active} onActive=${setActive} />` : html`<p class="note">${t("noSlots")}</p>`}`;
}

const SpanTable = ({ spans, active, onActive }) => {
  const valued = spans.some((span) => span.value && span.value !== span.text);
  return html`<div class="scroll"><table>
    <thead><tr><th>${t("span")}</th><th>${t("label")}</th>${valued && html`<th>${t("value")}</th>`}
      <th class="end">${t("place")}</th><th class="end">${t("score")}</th></tr></thead>
    <tbody>${spans.map((span) => html`<tr class=${active === span ? "active" : ""}
        onMouseEnter=${() => onActive(span)} onMouseLeave=${() => onActive(null)}>
      <td>${span.text}</td><td><span class="chip" style=${{ "--hue": hue(span.label) }}>${span.label}</span></td>
      ${valued && html`<td>${span.value}</td>`}<td class="end figure">${span.start}–${span.end}</td>
      <td class="end figure">${percent(span.score)}</td></tr>`)}</tbody>
  </table></div>`;
};

function Answers({ answer, input }) {
  const [shown, setShown] = useState(0);
  const best = answer.answers[shown];
  const spans = best ? [{ ...best, label: "answer", tag: false }] : [];
  return html`<p class="headline">${answer.answers[0]?.text ?? t("noAnswer")}</p>
    <${Marked} text=${input.context} spans=${spans} />
    <ol class="choices">${answer.answers.map((one, i) => html`<li>
      <button type="button" class=${i === shown ? "chosen" : ""} aria-pressed=${i === shown} onClick=${() => setShown(i)}
        onMouseEnter=${() => setShown(i)}><${Bar} label=${one.text} score=${one.score} best=${i === shown} /></button></li>`)}
    </ol>
    <div class="bars faint"><${Bar} label=${t("noAnswer")} score=${answer.no_answer_score} /></div>`;
}

// The whole tree: groups that are lit first, in full; the others as one line of names.
function Tree({ answer, task }) {
  const lit = new Map(answer.labels.map((one) => [one.label, one.score]));
  const paths = task.labels.map((label) => label.split("##"));
  const tops = [...new Set(paths.map((path) => path[0]))];
  const [open, setOpen] = useState(false);
  const dim = tops.filter((top) => !lit.has(top));
  const group = (top) => html`<section class=${`branch ${lit.has(top) ? "lit" : ""}`} style=${{ "--hue": hue(top) }}>
    <h4>${top}${lit.has(top) && html`<b class="figure">${percent(lit.get(top))}</b>`}</h4>
    <ul>${paths.filter((path) => path[0] === top && path.length > 1).map((path) => {
      const name = path.join("##");
      return html`<li class=${lit.has(name) ? "lit" : ""} style=${{ "margin-left": `${(path.length - 2) * 16}px` }}
        >${path[path.length - 1]}${lit.has(name) && html`<b class="figure">${percent(lit.get(name))}</b>`}</li>`;
    })}</ul></section>`;
  return html`${answer.paths.length ? html`<ul class="paths">${answer.paths.map((path) => html`<li class="headline">
      ${path.map((part, i) => html`${i > 0 && html`<span class="step" aria-hidden="true">›</span>`}${part.split("##").pop()}`)}</li>`)}</ul>`
    : html`<p class="note">${t("noLabels")}</p>`}
    <div class="tree">${tops.filter((top) => lit.has(top)).map(group)}${open && dim.map(group)}</div>
    ${dim.length > 0 && html`<button type="button" class="quiet" aria-expanded=${open} onClick=${() => setOpen(!open)}
      >${open ? t("close") : `${t("other")}: ${dim.length}`}</button>`}`;
}

function Similarity({ answer, input }) {
  const { score } = answer;
  return html`<div class="gauge">
    <p class="huge figure">${score.toFixed(3)}</p>
    <div class="scale" role="img" aria-label=${`${score.toFixed(3)}, -1…1`}><i style=${{ left: `${(score + 1) * 50}%` }}></i></div>
    <div class="ends"><span>−1 ${t("opposite")}</span><span>0 ${t("unlike")}</span><span>1 ${t("similar")}</span></div>
    <div class="pair"><blockquote>${input.text}</blockquote><blockquote>${input.text_pair}</blockquote></div></div>`;
}

function Masks({ answer, input }) {
  const [picked, setPicked] = useState({});
  const parts = input.split(/\[MASK\]/i);
  return html`<p class="marked">${parts.map((part, i) => html`${part}${answer.masks[i] && html`<mark class="filled"
      style=${{ "--hue": 225 }}>${answer.masks[i][picked[i] || 0].token}</mark>`}`)}</p>
    <div class="masks">${answer.masks.map((mask, i) => html`<div class="choices">${mask.slice(0, 8).map((one, j) => html`
      <button type="button" class=${(picked[i] || 0) === j ? "chosen" : ""} aria-pressed=${(picked[i] || 0) === j}
        onClick=${() => setPicked({ ...picked, [i]: j })} onMouseEnter=${() => setPicked({ ...picked, [i]: j })}
        ><${Bar} label=${one.token} score=${one.score} best=${(picked[i] || 0) === j} /></button>`)}</div>`)}</div>`;
}

const Ranking = ({ answer }) => html`<ol class="ranking">${answer.ranking.map((one, i) => html`<li>
  <span class="rank figure">${i + 1}</span><${Bar} label=${one.text} score=${one.score} best=${i === 0} note=${`#${one.index + 1}`} /></li>`)}</ol>`;

const Tokens = ({ answer, input }) => html`<p class="marked tokens">${answer.offsets.map(([start, end]) => html`<span
  >${Array.from(input).slice(start, end).join("")}</span>`)}</p>
  <p class="note">${answer.offsets.length} × ${answer.dimension} ${t("dims")}</p>`;

const DRAWINGS = {
  sequence_classification: Labels, pair_classification: Labels, token_classification: Entities,
  question_answering: Answers, intent_slots: Intent, hierarchical_classification: Tree, similarity: Similarity,
  fill_mask: Masks, ranking: Ranking, token_embedding: Tokens,
};

export const Json = ({ value }) => html`<pre class="code" tabindex="0">${JSON.stringify(value, (name, part) =>
  Array.isArray(part) && part.length > 24 && typeof part[0] === "number" ? [...part.slice(0, 6), `… ${part.length}`] : part, 2)}</pre>`;

// result: what the gateway sent; inputs: the items that were asked.
export function Drawing({ task, result, inputs }) {
  const bad = result.answers.find((answer) => answer.error);
  if (bad) return html`<p class="alert" role="alert">${bad.error.message}</p>`;
  if (task.kind.endsWith("embedding") && task.kind !== "token_embedding") {
    return html`<${Vectors} answers=${result.answers} inputs=${inputs} />`;
  }
  const Draw = DRAWINGS[task.kind];
  return Draw ? html`<${Draw} answer=${result.answers[0]} input=${inputs[0]} task=${task} />` : html`<${Json} value=${result.answers[0]} />`;
}
