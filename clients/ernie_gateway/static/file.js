// A file of rows, asked as one streamed request; a table that fills while answers come, and its download.
import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { t } from "./i18n.js";
import { stream } from "./api.js";
import { guessColumns, readRows, toCsv } from "./csv.js";
import { percent } from "./parts.js";

const SHOWN = 200;

// An answer as cells: [what, score].
function cells(answer) {
  if (!answer) return ["", ""];
  if (answer.error) return [answer.error.message, "", true];
  if (answer.top) return [answer.label, answer.score];
  if (answer.entities) return [answer.entities.map((one) => `${one.text}/${one.label}`).join("; "), ""];
  if (answer.intent) return [[answer.intent, ...answer.slots.map((one) => `${one.slot}=${one.value}`)].join("; "), answer.score];
  if (answer.answers) return [answer.answers[0]?.text ?? "", answer.answers[0]?.score ?? ""];
  if (answer.paths) return [answer.paths.map((path) => path[path.length - 1]).join("; "), ""];
  if (answer.ranking) return [answer.ranking[0].text, answer.ranking[0].score];
  if (answer.masks) return [answer.masks.map((mask) => mask[0].token).join(" "), ""];
  if (answer.embedding) return [JSON.stringify(answer.embedding), ""];
  return "score" in answer ? ["", answer.score] : [JSON.stringify(answer), ""];
}

function save(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function FileTable({ task, onError }) {
  const [table, setTable] = useState(null); // {name, header, rows, columns}
  const [answers, setAnswers] = useState([]);
  const [running, setRunning] = useState(false);
  const [over, setOver] = useState(false);
  const aborter = useRef(null);
  useEffect(() => { setTable(null); setAnswers([]); return () => aborter.current?.abort(); }, [task.name]);

  const open = async (file) => {
    if (!file) return;
    try {
      const { header, rows } = readRows(file.name, await file.text(), task.inputs);
      if (!rows.length) throw new Error(t("noRows"));
      setTable({ name: file.name, header, rows, columns: guessColumns(header, task.inputs) });
      setAnswers([]);
    } catch (error) { onError(error); }
  };
  const run = async () => {
    const received = [];
    aborter.current = new AbortController();
    setRunning(true);
    setAnswers([]);
    const items = table.rows.map((row) => {
      const item = Object.fromEntries(task.inputs.map((name) => [name, row[table.columns[name]] ?? ""]));
      if (item.candidates) item.candidates = item.candidates.startsWith("[") ? JSON.parse(item.candidates) : item.candidates.split("|");
      return item;
    });
    let due = 0;
    try {
      await stream(task.name, items, { signal: aborter.current.signal, onAnswer: (answer) => {
        received[answer.line - 1] = answer;
        if (performance.now() > due) { setAnswers([...received]); due = performance.now() + 120; }
      } });
    } catch (error) {
      if (error.name !== "AbortError") onError(error);
    }
    setAnswers([...received]);
    setRunning(false);
  };
  const base = () => table.name.replace(/\.[^.]+$/, "");
  const saveCsv = () => save(`${base()}-answers.csv`, toCsv([[...table.header, "answer", "score"],
    ...table.rows.map((row, i) => [...table.header.map((_, c) => row[c]), ...cells(answers[i]).slice(0, 2)])]), "text/csv");
  const saveJson = () => save(`${base()}-answers.jsonl`, answers.filter(Boolean).map((one) => `${JSON.stringify(one)}\n`).join(""), "application/x-ndjson");

  if (!table) {
    const drop = (event) => { event.preventDefault(); setOver(false); open(event.dataTransfer.files[0]); };
    return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave=${() => setOver(false)} onDrop=${drop}><p>${t("drop")} <label class="link">${t("choose")}<input type="file" class="unseen"
      accept=".csv,.txt,.jsonl,.ndjson" onChange=${(event) => open(event.target.files[0])} /></label></p></div>`;
  }
  const done = answers.filter(Boolean).length, faults = answers.filter((one) => one?.error).length;
  const used = task.inputs.map((name) => table.columns[name]);
  return html`<div class="split"><p><b>${table.name}</b> <span class="faint">${table.rows.length} ${t("rows")}</span></p>
      <button type="button" class="quiet" onClick=${() => setTable(null)}>${t("close")}</button></div>
    <div class="actions">${table.header.length > 1 && task.inputs.map((name) => html`<label class="option"><span>${t(name)}</span>
      <select value=${table.columns[name]} onChange=${(event) => setTable({ ...table, columns: { ...table.columns, [name]: Number(event.target.value) } })}>
        ${table.header.map((column, i) => html`<option value=${i}>${column}</option>`)}</select></label>`)}
      <span class="grow"></span>
      ${done > 0 && !running && html`<button type="button" class="quiet" onClick=${saveCsv}>${t("download")} CSV</button>
        <button type="button" class="quiet" onClick=${saveJson}>${t("download")} JSONL</button>`}
      ${running ? html`<button type="button" class="primary" onClick=${() => aborter.current.abort()}>${t("stop")}</button>`
        : html`<button type="button" class="primary" onClick=${run}>${t("run")}</button>`}</div>
    <div class="progress" role="progressbar" aria-label=${t("rows")} aria-valuemin="0" aria-valuemax=${table.rows.length} aria-valuenow=${done}>
      <i style=${{ width: `${(done / table.rows.length) * 100}%` }}></i></div>
    <p class="note" aria-live="polite">${done} ${t("of")} ${table.rows.length}${faults > 0 && ` · ${faults} ${t("failed")}`}</p>
    <div class="scroll tall" tabindex="0" role="region" aria-label=${table.name}><table><thead><tr>${used.map((c) => html`<th>${table.header[c]}</th>`)}
      <th>${t("answer")}</th><th class="end">${t("score")}</th></tr></thead><tbody>${table.rows.slice(0, SHOWN).map((row, i) => {
        const [what, score, bad] = cells(answers[i]);
        return html`<tr>${used.map((c) => html`<td class="clip" title=${row[c]}>${row[c]}</td>`)}<td class=${bad ? "bad" : "clip"} title=${what}>${what}</td>
          <td class="end figure">${score === "" ? "" : score < 0 ? score.toFixed(3) : percent(score)}</td></tr>`;
      })}</tbody></table></div>
    ${table.rows.length > SHOWN && html`<p class="note">${t("shownFirst")} ${SHOWN}.</p>`}`;
}
