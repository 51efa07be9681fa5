// Compiles the schemas with Ajv as its users have it, and says which messages fit.
// In: {"schemas": {type: schema}, "messages": [{"type": …}]}. Out: [true or false for each message].
const Ajv = require("ajv/dist/2020").default;
const addFormats = require("ajv-formats").default;

const { schemas, messages } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const ajv = addFormats(new Ajv());
const fits = Object.fromEntries(
  Object.entries(schemas).map(([type, schema]) => [type, ajv.compile(schema)]),
);
console.log(JSON.stringify(messages.map((message) => fits[message.type](message))));
