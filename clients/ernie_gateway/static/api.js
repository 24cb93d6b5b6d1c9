// Requests to the gateway that served this page. Every failure is an ApiError with one line to show.

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status; // 0: the gateway does not answer
    this.code = code;
  }
}

export const key = {
  get: () => sessionStorage.getItem("key") || "",
  set: (value) => sessionStorage.setItem("key", value),
};

function headers(type) {
  const own = type ? { "content-type": type } : {};
  return key.get() ? { ...own, authorization: `Bearer ${key.get()}` } : own;
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("", 0, "down");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new ApiError(error?.message || response.statusText, response.status, error?.code);
}

export const listTasks = async () => (await (await send("/v1/tasks", { headers: headers() })).json()).tasks;

// One item (or, for embeddings, several); ms: seen from here, the way there and back included.
export async function ask(task, inputs, { variant, prefix, signal } = {}) {
  const body = { inputs, ...(variant && { variant }), ...(prefix && { prefix }) };
  const began = performance.now();
  const response = await send(`/v1/tasks/${task}`, {
    method: "POST", headers: headers("application/json"), body: JSON.stringify(body), signal,
  });
  const answer = await response.json();
  return { ...answer, roundTrip: performance.now() - began };
}

// Many items: calls onAnswer for each line that comes back.
export async function stream(task, items, { signal, onAnswer }) {
  const response = await send(`/v1/tasks/${task}`, {
    method: "POST", headers: headers("application/x-ndjson"), signal,
    body: items.map((item) => JSON.stringify(item)).join("\n"),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines.filter(Boolean)) {
      const answer = JSON.parse(line);
      if (answer.fatal) throw new ApiError(answer.error.message, 502, answer.error.code);
      onAnswer(answer);
    }
    if (done) return;
  }
}
