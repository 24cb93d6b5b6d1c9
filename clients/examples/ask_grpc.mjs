// npm install, then: node ask_grpc.mjs msra_ner "王小明在北京大学读书"
// Asks a task by Triton's own gRPC. ERNIE_TRITON_URL: host:port, 127.0.0.1:8001 where it is not set.
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const proto = fileURLToPath(new URL("triton.proto", import.meta.url));
const { inference } = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number }));
const url = process.env.ERNIE_TRITON_URL ?? "127.0.0.1:8001";
const client = new inference.GRPCInferenceService(url, credentials.createInsecure());
const infer = promisify(client.ModelInfer.bind(client));

const [task, ...texts] = process.argv.slice(2);
const reply = await infer({
  model_name: task,
  parameters: { offsets: { string_param: "utf16" } }, // positions as in JavaScript's strings
  inputs: [{
    name: "TEXT", datatype: "BYTES", shape: [texts.length, 1],
    contents: { bytes_contents: texts.map((text) => Buffer.from(text)) },
  }],
  outputs: [{ name: "RESULT" }],
});
client.close();

// A BYTES tensor: for each text four bytes of length, little-endian, then UTF-8, here one JSON object.
let bytes = reply.raw_output_contents[0];
for (const text of texts) {
  const size = bytes.readUInt32LE(0);
  console.log(text, JSON.parse(bytes.subarray(4, 4 + size).toString()));
  bytes = bytes.subarray(4 + size);
}
