/* eslint-disable no-bitwise -- a hash is made of bits */
import { randomBytes } from 'node:crypto';
import { MAX_BLOCKS, Prompt } from '../../../routing';
import { Body, lengthOf } from '../body';
import { EngineRequest, wholeOf } from '../wire/engine-request';

/** Bytes of a block: some hundred tokens, fewer of which are not worth an engine. */
export const BLOCK_BYTES = 512;
const WORDS = BLOCK_BYTES / 4;
/** Where what a prompt is made from begins in a request: what is before it, such as a temperature, is no part of the prompt. Elsewhere none is read. */
const BEGINNINGS: { readonly [path: string]: string } = { '/v1/chat/completions': '"messages"', '/v1/completions': '"prompt"' };
/** Nobody can know which prompts have the same hash. */
const SEED = randomBytes(4).readInt32LE();
/** Odd constants whose multiples spread over all bits, after the golden ratio and the roots of small primes. */
const [A, B, C, D] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f];

// used again for every request, as nothing of it is kept.
const words = new Int32Array(MAX_BLOCKS * WORDS);
const bytes = new Uint8Array(words.buffer);

/**
 * Reads a prompt. The blocks are those of the request's text, so that two prompts share those that are equal from the first message on.
 *
 * @param asked the request.
 * @param tokens tokens of the prompt, about.
 * @param scope within which prompts are compared, such as a caller, who is to learn nothing of the prompts of others.
 */
export function readPrompt(asked: EngineRequest, tokens: number, scope: string): Prompt {
  const { path, body: { cache_salt: salt } } = asked;
  const beginning = BEGINNINGS[path];
  const text = beginning === undefined ? [] : partsFrom(beginning, wholeOf(asked));
  const length = lengthOf(text);
  const count = Math.min(MAX_BLOCKS, Math.floor(length / BLOCK_BYTES));
  const blocks = new Int32Array(count);
  if (count > 0) {
    copy(text, bytes.subarray(0, count * BLOCK_BYTES));
    // engines keep prompts of another salt apart.
    hashBlocks(blocks, hashText(typeof salt === 'string' ? `${scope}\n${salt}` : scope));
  }
  return { tokens, sharePerBlock: BLOCK_BYTES / Math.max(1, length), blocks };
}

/** A body from what it has first; all of it if it has no such text. */
function partsFrom(beginning: string, body: Body): Body {
  for (let i = 0; i < body.length; i++) {
    const at = body[i].indexOf(beginning);
    if (at !== -1) {
      return [body[i].subarray(at), ...body.slice(i + 1)];
    }
  }
  return body;
}

/** Fills bytes from the front of a text. */
function copy(text: Body, to: Uint8Array): void {
  let at = 0;
  for (const part of text) {
    to.set(part.subarray(0, to.length - at), at);
    at += Math.min(part.length, to.length - at);
  }
}

/** Four words at a time, none of which waits for another. */
function hashBlocks(blocks: Int32Array, seed: number): void {
  let hash = seed;
  for (let block = 0; block < blocks.length; block++) {
    const end = (block + 1) * WORDS;
    let a = hash ^ A;
    let b = hash ^ B;
    let c = hash ^ C;
    let d = hash ^ D;
    for (let at = block * WORDS; at < end; at += 4) {
      a = Math.imul(a ^ words[at], A);
      b = Math.imul(b ^ words[at + 1], B);
      c = Math.imul(c ^ words[at + 2], C);
      d = Math.imul(d ^ words[at + 3], D);
      a ^= a >>> 15;
      b ^= b >>> 13;
      c ^= c >>> 16;
      d ^= d >>> 14;
    }
    hash = mixed(mixed(mixed(mixed(hash ^ a) ^ b) ^ c) ^ d);
    blocks[block] = hash;
  }
}

function hashText(text: string): number {
  let hash = SEED;
  for (let i = 0; i < text.length; i++) {
    hash = mixed(hash ^ text.charCodeAt(i));
  }
  return hash;
}

function mixed(value: number): number {
  const spread = Math.imul(value ^ (value >>> 16), B);
  return spread ^ (spread >>> 13);
}
