// node ask.mjs msra_ner "王小明在北京大学读书": asks a task through the gateway; Node.js 18 and later, nothing to install.
// ERNIE_TRITON_GATEWAY: its address, http://127.0.0.1:8080 where it is not set.
const gateway = process.env.ERNIE_TRITON_GATEWAY ?? "http://127.0.0.1:8080";
const [task, ...texts] = process.argv.slice(2);

const reply = await fetch(`${gateway}/v1/tasks/${task}`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ inputs: texts }),
});
const body = await reply.json();
if (!reply.ok) {
  console.error(body.error.message);
  process.exit(1);
}
for (const [i, answer] of body.answers.entries()) {
  console.log(texts[i], JSON.stringify(answer));
}
