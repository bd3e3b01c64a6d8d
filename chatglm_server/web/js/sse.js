// Server-sent events of a response. https://html.spec.whatwg.org/#event-stream-interpretation

/**
 * The data of each event. The server sends each as one line; comments, its signs of life, are left out.
 * @param {Response} response
 * @returns {AsyncGenerator<string, void>}
 */
export async function* eventData(response) {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trimStart();
    }
  } finally {
    await reader.cancel().catch(() => {}); // the server stops when nobody reads
  }
}
