import { Cancellation } from '../../../../src/router/runtime/cancellation';
import { EngineResponse } from '../../../../src/router/runtime/targets/engine-response';
import { Connection } from '../../../../src/router/runtime/upstream/connection';

/** More than may wait to be read. */
const MUCH = Buffer.alloc(300_000, 'x');

function begun() {
  const connection = { pause: jest.fn(), resume: jest.fn(), destroy: jest.fn() };
  const response = new EngineResponse(new Cancellation(), () => undefined);
  response.over(connection as unknown as Connection);
  response.began(200, {});
  return { connection, response };
}

test('an engine that sends more than is read waits until it was read', async () => {
  const { connection, response } = begun();
  response.came(MUCH);
  expect(connection.pause).toHaveBeenCalledTimes(1);
  expect(connection.resume).not.toHaveBeenCalled();
  expect(await response.next()).toEqual(MUCH);
  expect(connection.resume).toHaveBeenCalledTimes(1);
});

test.each([['Identity', 0], ['', 0], ['gzip', 1], ['identity, gzip', 1]])('an answer that is said to be encoded as "%s" is refused or not', (encoding, refusals) => {
  const onBegun = jest.fn();
  new EngineResponse(new Cancellation(), onBegun).began(200, { 'content-encoding': encoding });
  expect(onBegun.mock.calls).toEqual([refusals === 0 ? [] : [expect.objectContaining({ code: 'engine_failed' })]]);
});

test('what is read after the end leaves the connection alone, which may have another request by then', async () => {
  const { connection, response } = begun();
  response.came(MUCH);
  response.ended();
  expect(await response.next()).toEqual(MUCH);
  expect(await response.next()).toBeUndefined();
  response.breakOff();
  expect(connection.resume).not.toHaveBeenCalled();
  expect(connection.destroy).not.toHaveBeenCalled();
});
