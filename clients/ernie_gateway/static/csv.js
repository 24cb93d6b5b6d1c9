// Files of rows: CSV (quoted cells may hold commas and line breaks), lines of text, JSON lines.

export function parseCsv(text) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  const source = text.replace(/^\ufeff/, "");
  for (let i = 0; i < source.length; i += 1) {
    const c = source[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (source[i + 1] === '"') { cell += '"'; i += 1; } else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === ",") { row.push(cell); cell = ""; }
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && source[i + 1] === "\n") i += 1;
      rows.push([...row, cell]);
      row = []; cell = "";
    } else cell += c;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows.filter((cells) => cells.some((one) => one.trim()));
}

// Spreadsheets take a cell that begins with one of these for a formula.
const guard = (text) => (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);

export const toCsv = (rows) => `\ufeff${rows.map((row) => row.map((cell) => {
  const text = guard(String(cell ?? ""));
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",")).join("\r\n")}\r\n`;

// {header, rows} of a file. Without a header that names an input, columns are numbered.
export function readRows(name, text, inputs) {
  if (/\.(jsonl|ndjson)$/i.test(name)) {
    const values = text.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
    const objects = values.map((value) => (typeof value === "string" ? { [inputs[0]]: value } : value));
    const header = [...new Set(objects.flatMap(Object.keys))];
    return { header, rows: objects.map((one) => header.map((column) => (typeof one[column] === "string" ? one[column] : JSON.stringify(one[column] ?? "")))) };
  }
  if (!/\.csv$/i.test(name)) return { header: [inputs[0]], rows: text.replace(/^\ufeff/, "").split(/\r?\n/).filter((line) => line.trim()).map((line) => [line]) };
  const [first = [], ...rest] = parseCsv(text);
  const isHeader = first.some((cell) => inputs.includes(cell.trim().toLowerCase()) || USUAL.test(cell.trim()));
  return isHeader ? { header: first, rows: rest } : { header: first.map((_, i) => String(i + 1)), rows: [first, ...rest].filter((row) => row.length) };
}
const USUAL = /^(text|sentence\d?|content|query|question|title|review|context|label|内容|文本|句子|正文|评论|标题|问题)$/i;

// The column for each input: by name, else by a usual name, else by place.
export const guessColumns = (header, inputs) => Object.fromEntries(inputs.map((name, i) => {
  const exact = header.findIndex((column) => column.trim().toLowerCase() === name);
  const usual = header.findIndex((column) => USUAL.test(column.trim()) && !/^label$/i.test(column.trim()));
  return [name, exact >= 0 ? exact : inputs.length === 1 && usual >= 0 ? usual : Math.min(i, header.length - 1)];
}));
