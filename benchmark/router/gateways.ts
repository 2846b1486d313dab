import { ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../test/ports';

/** The key that callers have. */
export const KEY = 'sk-benchmark';
const START_MILLIS = 120_000;
const IDLE_MILLIS = 60_000;
const IDLE_CHECK_MILLIS = 500;
/** Share of a core that is used for nothing that was asked: probes, timers, what a process tells of itself. */
const IDLE_SHARE = 0.04;

/** What a gateway is started with. */
interface Command {
  readonly argv: readonly string[];
  readonly env?: { readonly [name: string]: string };
}

/** Something between callers and engines. */
export interface Gateway {
  readonly name: string;
  /** Undefined if it is not installed. */
  readonly command?: (port: number, engineUrl: string, sparePort: number) => Command;
  /** A path that it answers with 200 once its engines are known. */
  readonly ready: string;
}

/** A gateway that runs. */
export interface RunningGateway {
  readonly port: number;
  /** What its processes have used of a core until now, in seconds. */
  cpuSeconds(): number;
  /** Resolves once it has done with what it was asked, or after a minute: some go on for long after they have answered. */
  idle(): Promise<void>;
  stop(): Promise<void>;
}

/** Our router over targets of its configuration. */
export function ours(name: string, targets: (engineUrl: string) => object[], routing: object = {}): Gateway {
  return {
    name,
    ready: '/readyz',
    command: (port, engineUrl) => ({
      argv: [process.execPath, ...routersArguments()],
      env: {
        KEYS: KEY,
        ROUTER_CONFIG: JSON.stringify({
          schema: 'cdk-disaggregated-inference/router-config/v1',
          model: { id: 'm', servedNames: ['m'] },
          host: '127.0.0.1',
          port,
          targets: targets(engineUrl),
          routing,
          auth: { apiKeysEnv: 'KEYS' },
        }),
      },
    }),
  };
}

/** What Node is given where the router ships, as its container starts it. */
function routersArguments(): string[] {
  const folder = join(__dirname, '..', '..', 'assets', 'router');
  const [, command] = /^CMD (.+)$/m.exec(readFileSync(join(folder, 'Dockerfile'), 'utf8'))!;
  const given: string[] = JSON.parse(command).slice(1);
  return [...given.slice(0, -1), join(folder, given.at(-1)!)];
}

/** The peers that are installed in Python environments, a folder each, and those that are not. */
export function peers(environments: readonly string[]): Gateway[] {
  const find = (program: string) => environments.map((folder) => join(folder, 'bin', program)).find(existsSync);
  const [litellm, sglang, smg] = ['litellm', 'sglang-router', 'smg'].map(find);
  const launch = (program: string) => (port: number, engineUrl: string, sparePort: number) => ({
    argv: [
      program, 'launch', '--host', '127.0.0.1', '--port', String(port), '--prometheus-port', String(sparePort), '--worker-urls', engineUrl, '--policy', 'round_robin',
      '--api-key', KEY, '--log-level', 'warn',
    ],
  });
  return [
    {
      name: 'LiteLLM proxy',
      ready: '/health/liveliness',
      command: litellm === undefined ? undefined : (port, engineUrl) => {
        const config = join(mkdtempSync(join(tmpdir(), 'litellm-')), 'config.yaml');
        writeFileSync(config, JSON.stringify({
          model_list: [{ model_name: 'm', litellm_params: { model: 'openai/m', api_base: `${engineUrl}/v1`, api_key: KEY } }],
          general_settings: { master_key: KEY },
          litellm_settings: { telemetry: false },
        }));
        return {
          argv: [litellm, '--config', config, '--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'],
          // it would ask the internet for prices.
          env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
        };
      },
    },
    { name: 'sglang-router', ready: '/health', command: sglang === undefined ? undefined : launch(sglang) },
    { name: 'smg', ready: '/health', command: smg === undefined ? undefined : launch(smg) },
  ];
}

/** Starts a gateway on the first core. */
export async function start({ name, command, ready }: Gateway, engineUrl: string): Promise<RunningGateway> {
  const [port, sparePort] = await freePorts(2);
  const { argv, env } = command!(port, engineUrl, sparePort);
  const logFile = join(mkdtempSync(join(tmpdir(), 'gateway-')), 'log');
  const log = openSync(logFile, 'w');
  const child = spawn('taskset', ['-c', '0', ...argv], { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, stdio: ['ignore', log, log], detached: true });
  const end = Date.now() + START_MILLIS;
  while (!(await answers(`http://127.0.0.1:${port}${ready}`))) {
    if (child.exitCode !== null || Date.now() > end) {
      await stop(child);
      throw new Error(`${name} does not start: ${readFileSync(logFile, 'utf8').slice(-2000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const cpuSeconds = () => cpuSecondsOf(child.pid!);
  return { port, cpuSeconds, idle: async () => idle(cpuSeconds), stop: async () => stop(child) };
}

async function idle(cpuSeconds: () => number): Promise<void> {
  const end = Date.now() + IDLE_MILLIS;
  let used = Infinity;
  for (let before = 0; used - before > IDLE_SHARE * IDLE_CHECK_MILLIS / 1000 && Date.now() < end;) {
    before = cpuSeconds();
    await new Promise((resolve) => setTimeout(resolve, IDLE_CHECK_MILLIS));
    used = cpuSeconds();
  }
}

/** What the processes of a group have used, as /proc tells it in hundredths of a second. */
function cpuSecondsOf(group: number): number {
  const used = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      const [, , processGroup, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return Number(processGroup) === group ? Number(fields[8]) + Number(fields[9]) : 0;
    } catch {
      // it has ended meanwhile.
      return 0;
    }
  });
  return used.reduce((sum, one) => sum + one, 0) / 100;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    // some start processes of their own.
    process.kill(-child.pid!, 'SIGKILL');
    await ended;
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { headers: { authorization: `Bearer ${KEY}` } }).then(({ status }) => status === 200, () => false);
}
