// The Vercel AI SDK against a server: asks for an object that fits a schema, and prints it.
//
//     node object.mjs http://127.0.0.1:8000/v1 MODEL QUESTION   →   one JSON object
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject } from "ai";
import { z } from "zod";

const [baseURL, model, question] = process.argv.slice(2);
const { object, finishReason } = await generateObject({
  model: createOpenAICompatible({ name: "local", baseURL, supportsStructuredOutputs: true }).chatModel(model),
  prompt: question,
  temperature: 0,
  maxRetries: 0,
  schema: z.object({
    city: z.string().max(12),
    unit: z.enum(["celsius", "fahrenheit"]),
    days: z.number().int().min(1).max(9),
  }),
});
console.log(JSON.stringify({ object, finish: finishReason }));
