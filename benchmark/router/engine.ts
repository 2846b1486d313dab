/**
 * An engine that costs next to nothing, as a process: bytes that were made before are written for every request. Run by `benchmark/router.ts`, it tells its port
 * to who forked it.
 */
import { AddressInfo, createServer, Socket } from 'node:net';
import { EVENTS, EVENTS_A_WRITE } from './load';

const WHOLE = { id: 'c', object: 'chat.completion', created: 0, model: 'm' };
const USAGE = { prompt_tokens: 256, completion_tokens: 100, total_tokens: 356 };
const MESSAGE = { index: 0, message: { role: 'assistant', content: ' token'.repeat(100) }, finish_reason: 'stop' };
const PARAMS = {
  do_remote_prefill: true, do_remote_decode: false, remote_block_ids: [[1, 2, 3, 4]], remote_engine_id: 'e', remote_request_id: 'r', remote_host: 'h', remote_port: 1,
};
const EVENT = { id: 'c', object: 'chat.completion.chunk', created: 0, model: 'm' };
const sse = (delta: object, finish: string | null = null) => `data: ${JSON.stringify({ ...EVENT, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

const ANSWER = json({ ...WHOLE, choices: [MESSAGE], usage: USAGE });
const PREFILLED = json({ ...WHOLE, choices: [MESSAGE], usage: USAGE, kv_transfer_params: PARAMS });
/** What gateways ask of an engine before they use it. */
const ABOUT = json({ status: 'ok', object: 'list', data: [{ id: 'm', object: 'model', created: 0, owned_by: 'e' }], model_path: 'm', is_generation: true });
const STREAM_HEAD = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n');
const STREAM_START = chunk(sse({ role: 'assistant', content: '' }));
const STREAM_PART = chunk(sse({ content: ' token' }).repeat(EVENTS_A_WRITE));
const STREAM_END = Buffer.concat([
  chunk(`${sse({}, 'stop')}data: ${JSON.stringify({ ...EVENT, choices: [], usage: USAGE })}\n\ndata: [DONE]\n\n`), Buffer.from('0\r\n\r\n'),
]);

function json(value: object): Buffer {
  const body = JSON.stringify(value);
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

function chunk(text: string): Buffer {
  return Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n`);
}

function serve(socket: Socket): void {
  let pending: Buffer[] = [];
  let wanted = 0;
  let length = 0;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    pending.push(data);
    length += data.length;
    if (length < wanted) {
      return;
    }
    const bytes = pending.length === 1 ? data : Buffer.concat(pending);
    pending = [bytes];
    const headEnd = bytes.indexOf('\r\n\r\n');
    if (headEnd === -1) {
      return;
    }
    const head = bytes.toString('latin1', 0, headEnd);
    wanted = headEnd + 4 + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (length < wanted) {
      return;
    }
    answer(socket, head, bytes.subarray(headEnd + 4));
    pending = [];
    wanted = length = 0;
  });
}

function answer(socket: Socket, head: string, body: Buffer): void {
  if (head.startsWith('GET')) {
    socket.write(ABOUT);
  } else if (body.includes('"do_remote_decode":true')) {
    socket.write(PREFILLED);
  } else if (/"stream": ?true/.test(body.toString('latin1', 0, 200)) || /"stream": ?true/.test(body.toString('latin1', Math.max(0, body.length - 400)))) {
    socket.write(Buffer.concat([STREAM_HEAD, STREAM_START]));
    step(socket, EVENTS);
  } else {
    socket.write(ANSWER);
  }
}

// streams go on side by side, as those of one batch do
function step(socket: Socket, left: number): void {
  if (socket.destroyed) {
    return;
  }
  if (left === 0) {
    socket.write(STREAM_END);
  } else {
    socket.write(STREAM_PART);
    setImmediate(step, socket, left - EVENTS_A_WRITE);
  }
}

const server = createServer(serve).listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port));
