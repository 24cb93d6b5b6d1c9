// Vectors of sentences: a map of the first two principal components, the nearest pairs, the numbers as a strip.
import { html, useMemo, useState } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";

const WIDTH = 680, HEIGHT = 380, EDGE = 56;
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const scaled = (a, by) => a.map((x) => x * by);

export const cosine = (a, b) => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);

// The principal component of centred rows, by power iteration on rows × rowsᵀ; deterministic.
function component(rows) {
  let weights = rows.map((_, i) => Math.cos(i + 1));
  for (let step = 0; step < 100; step += 1) {
    const direction = rows[0].map((_, d) => rows.reduce((sum, row, i) => sum + row[d] * weights[i], 0));
    weights = rows.map((row) => dot(row, direction));
    weights = scaled(weights, 1 / (Math.sqrt(dot(weights, weights)) || 1));
  }
  const axis = rows[0].map((_, d) => rows.reduce((sum, row, i) => sum + row[d] * weights[i], 0));
  return scaled(axis, 1 / (Math.sqrt(dot(axis, axis)) || 1));
}

export function project(vectors) {
  const mean = vectors[0].map((_, d) => vectors.reduce((sum, v) => sum + v[d], 0) / vectors.length);
  let rows = vectors.map((v) => v.map((x, d) => x - mean[d]));
  return [0, 1].map(() => {
    const axis = component(rows);
    const values = rows.map((row) => dot(row, axis));
    rows = rows.map((row, i) => row.map((x, d) => x - values[i] * axis[d]));
    return values;
  });
}

function place([xs, ys]) {
  const half = Math.max(...[...xs, ...ys].map(Math.abs)) || 1;
  const wide = Math.max(...xs.map(Math.abs)) || half, high = Math.max(...ys.map(Math.abs), half / 4);
  return xs.map((x, i) => [WIDTH / 2 + (x / wide) * (WIDTH / 2 - EDGE - 40), HEIGHT / 2 - (ys[i] / high) * (HEIGHT / 2 - EDGE)]);
}

// Where each point's label goes: above, below or beside it, wherever it meets the fewest others.
function labels(points, texts) {
  const taken = points.map(([x, y]) => [x - 9, y - 9, x + 9, y + 9]);
  return points.map(([x, y], i) => {
    const wide = Array.from(cut(texts[i])).reduce((sum, c) => sum + (c > "\u2e80" ? 13 : 7.5), 0);
    const boxes = [[x - wide / 2, y - 28], [x - wide / 2, y + 12], [x + 13, y - 8], [x - 13 - wide, y - 8]]
      .map(([left, top]) => [left, top, left + wide, top + 16]);
    const cost = ([left, top, right, bottom]) => taken.filter((b) => left < b[2] && right > b[0] && top < b[3] && bottom > b[1]).length
      + 3 * (left < 4 || right > WIDTH - 4 || top < 4 || bottom > HEIGHT - 4);
    const best = boxes.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    taken.push(best);
    return [(best[0] + best[2]) / 2, best[3] - 3];
  });
}

const cut = (text, length = 14) => (Array.from(text).length > length ? `${Array.from(text).slice(0, length).join("")}…` : text);

export function Vectors({ answers, inputs }) {
  const texts = inputs.map((input) => (typeof input === "string" ? input : Object.values(input).join(" | ")));
  const vectors = answers.map((answer) => answer.embedding);
  const [active, setActive] = useState(null);
  const pairs = useMemo(() => vectors.flatMap((a, i) => vectors.slice(i + 1).map((b, j) => ({ i, j: i + 1 + j, score: cosine(a, b) })))
    .sort((a, b) => b.score - a.score), [answers]);
  const points = useMemo(() => (vectors.length > 1 ? place(project(vectors)) : []), [answers]);
  const names = useMemo(() => labels(points, texts), [answers]);
  if (vectors.length < 2) return html`<${Strip} vector=${vectors[0]} /><p class="note">${t("one")}</p>`;
  const near = active === null ? [] : pairs.filter((pair) => pair.i === active || pair.j === active).slice(0, 2);
  return html`<figure class="map"><figcaption>${t("map")}</figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${t("map")}>
      <path class="axis" d=${`M ${EDGE / 2} ${HEIGHT / 2} H ${WIDTH - EDGE / 2} M ${WIDTH / 2} ${EDGE / 3} V ${HEIGHT - EDGE / 3}`} />
      ${near.map(({ i, j, score }) => html`<line x1=${points[i][0]} y1=${points[i][1]} x2=${points[j][0]} y2=${points[j][1]} stroke-width=${1 + 3 * Math.max(score, 0)} />`)}
      ${points.map(([x, y], i) => html`<g class=${active === i ? "active" : ""} onMouseEnter=${() => setActive(i)} onMouseLeave=${() => setActive(null)}>
        <circle cx=${x} cy=${y} r="7" /><text x=${names[i][0]} y=${names[i][1]} text-anchor="middle">${cut(texts[i])}</text></g>`)}
    </svg></figure>
    <h3>${t("nearest")}</h3>
    <ul class="pairs">${pairs.slice(0, 5).map(({ i, j, score }) => html`<li onMouseEnter=${() => setActive(i)} onMouseLeave=${() => setActive(null)}>
      <span class="figure">${score.toFixed(3)}</span><span>${texts[i]}</span><span>${texts[j]}</span></li>`)}</ul>
    <p class="note">${vectors.length} × ${vectors[0].length} ${t("dims")}</p>`;
}

const Strip = ({ vector }) => {
  const largest = Math.max(...vector.map(Math.abs)) || 1;
  return html`<div class="strip" role="img" aria-label=${`${vector.length} ${t("dims")}`}>${vector.map((x) => html`<i
    class=${x < 0 ? "minus" : ""} style=${{ opacity: 0.08 + 0.92 * (Math.abs(x) / largest) }}></i>`)}</div>
    <p class="note">${vector.length} ${t("dims")}: ${vector.slice(0, 4).map((x) => x.toFixed(3)).join(", ")}, …</p>`;
};
