// The request on the page, as other programs send it.
import { html, useState } from "./vendor/preact-htm.js";
import { Copy, Tabs } from "./parts.js";
import { key } from "./api.js";

const quoteShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (value) => JSON.stringify(value);

export function snippets(url, body) {
  const wantsKey = Boolean(key.get());
  const json = JSON.stringify(body);
  return {
    curl: [`curl ${url} \\`, ...(wantsKey ? ["  -H \"Authorization: Bearer $KEY\" \\"] : []),
      "  -H 'Content-Type: application/json' \\", `  -d ${quoteShell(json)}`].join("\n"),
    Python: ["import requests", "", "response = requests.post(", `    ${python(url)},`,
      ...(wantsKey ? ["    headers={\"Authorization\": f\"Bearer {KEY}\"},"] : []), `    json=${python(body)},`, ")",
      "response.raise_for_status()", "for answer in response.json()[\"answers\"]:", "    print(answer)"].join("\n"),
    JavaScript: [`const response = await fetch(${JSON.stringify(url)}, {`, "  method: \"POST\",",
      `  headers: { "Content-Type": "application/json"${wantsKey ? ", Authorization: `Bearer ${KEY}`" : ""} },`,
      `  body: JSON.stringify(${json}),`, "});", "const { answers } = await response.json();", "console.log(answers);"].join("\n"),
  };
}

export function Code({ task, items, options }) {
  const [language, setLanguage] = useState("curl");
  const body = { inputs: items, ...(options.variant && { variant: options.variant }), ...(options.prefix && { prefix: options.prefix }) };
  const texts = snippets(`${location.origin}/v1/tasks/${task.name}`, body);
  return html`<div class="split"><${Tabs} id="code" names=${Object.keys(texts)} active=${language} onPick=${setLanguage} label="language" />
    <${Copy} text=${texts[language]} /></div><pre class="code" tabindex="0">${texts[language]}</pre>`;
}
