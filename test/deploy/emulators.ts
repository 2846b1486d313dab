import { ChildProcessByStdio, spawn } from 'child_process';
import { existsSync, mkdtempSync, rmSync } from 'fs';
import { tmpdir } from 'os';
import { join } from 'path';
import { createInterface } from 'readline';
import { Readable, Writable } from 'stream';
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { CloudFormationClient } from '@aws-sdk/client-cloudformation';
import { EC2Client } from '@aws-sdk/client-ec2';
import { ECSClient } from '@aws-sdk/client-ecs';
import { EKSClient } from '@aws-sdk/client-eks';
import { freePorts } from '../ports';

const BIN = join(__dirname, '../../.venv-deploy/bin');

export type EmulatorName = 'moto' | 'ministack';

/** What each emulator is started with: loopback only, and nothing that needs a container. */
const COMMANDS: Record<EmulatorName, (port: number) => { command: string; args: string[]; env: Record<string, string> }> = {
  moto: (port) => ({ command: join(BIN, 'moto_server'), args: ['-H', '127.0.0.1', '-p', String(port)], env: {} }),
  ministack: (port) => ({
    command: join(BIN, 'ministack'),
    args: [],
    env: {
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      IOT_MTLS_ENABLED: 'false',
      DOCKER_HOST: 'unix:///nonexistent',
    },
  }),
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;
type BotoAnswer = { answer?: Record<string, any>; error?: string };

/** The clients of one region. `boto` is for the services that have no client among the dev dependencies. */
export interface Aws {
  readonly cloudFormation: CloudFormationClient;
  readonly ec2: EC2Client;
  readonly autoScaling: AutoScalingClient;
  readonly ecs: ECSClient;
  readonly eks: EKSClient;
  boto(service: string, operation: string, parameters: object): Promise<Record<string, any>>;
}

/** An AWS emulator in a process of its own. */
export class Emulator {
  public static async start(name: EmulatorName): Promise<Emulator> {
    const [port] = await freePorts(1);
    const { command, args, env } = COMMANDS[name](port);
    if (!existsSync(command)) {
      throw new Error(`${command} is missing: python3 -m venv .venv-deploy && .venv-deploy/bin/pip install -r test/deploy/requirements.txt`);
    }
    const emulator = new Emulator(name, port, command, args, env);
    try {
      await emulator.untilReady();
    } catch (error) {
      await emulator.stop();
      throw error;
    }
    return emulator;
  }

  public readonly endpoint: string;
  private readonly home = mkdtempSync(join(tmpdir(), 'deploy-test-'));
  private readonly server: Child;
  private readonly boto: Child;
  private readonly waiting: ((answer: BotoAnswer) => void)[] = [];
  private log = '';

  private constructor(public readonly name: EmulatorName, port: number, command: string, args: string[], env: Record<string, string>) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.server = guarded(command, args, { ...env, TMPDIR: this.home, HOME: this.home });
    for (const stream of [this.server.stdout, this.server.stderr]) {
      stream.on('data', (text) => {
        this.log = (this.log + String(text)).slice(-20_000);
      });
    }
    // it reads its input to the end, which comes with this process's own.
    this.boto = spawn(join(BIN, 'python'), [join(__dirname, 'boto.py'), this.endpoint], {
      env: { ...process.env, HOME: this.home },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    createInterface({ input: this.boto.stdout }).on('line', (line) => this.waiting.shift()!(JSON.parse(line)));
    this.boto.on('close', () => this.waiting.splice(0).forEach((tell) => tell({ error: 'the boto process has ended' })));
    this.boto.stderr.resume();
  }

  /** The last lines that the server printed: the reason, when it answers with a fault of its own. */
  public lastLines(): string {
    return this.log.split('\n').slice(-25).join('\n');
  }

  public aws(region: string): Aws {
    const config = { endpoint: this.endpoint, region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, maxAttempts: 1 };
    return {
      cloudFormation: new CloudFormationClient(config),
      ec2: new EC2Client(config),
      autoScaling: new AutoScalingClient(config),
      ecs: new ECSClient(config),
      eks: new EKSClient(config),
      boto: async (service, operation, parameters) => {
        const { answer, error } = await new Promise<BotoAnswer>((resolve) => {
          this.waiting.push(resolve);
          this.boto.stdin.write(JSON.stringify({ service, region, operation, parameters }) + '\n');
        });
        if (answer === undefined) {
          throw new Error(error);
        }
        return answer;
      },
    };
  }

  /** Puts a file into a bucket and returns its address. */
  public async upload(name: string, body: string): Promise<string> {
    const bucket = `${this.endpoint}/cdk-assets`;
    const file = `${bucket}/${name}`;
    await fetch(bucket, { method: 'PUT' });
    const answer = await fetch(file, { method: 'PUT', body });
    if (!answer.ok) {
      throw new Error(`${this.name} does not take ${file}: ${answer.status} ${await answer.text()}`);
    }
    return file;
  }

  public async stop(): Promise<void> {
    for (const child of [this.boto, this.server]) {
      const closed = child.exitCode === null && new Promise((resolve) => child.on('close', resolve));
      child.stdin.end();
      await closed;
    }
    rmSync(this.home, { recursive: true, force: true });
  }

  private async untilReady(): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (this.server.exitCode === null && Date.now() < deadline) {
      try {
        await (await fetch(this.endpoint)).text();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    throw new Error(`${this.name} did not start:\n${this.lastLines()}`);
  }
}

/** A child that ends with its parent, however that ends: as soon as the standard input closes, it is killed. */
function guarded(command: string, args: string[], env: Record<string, string>): Child {
  const script = 'exec 3<&0; "$@" & server=$!; (read -r _ <&3; kill -9 $server) & wait $server';
  return spawn('sh', ['-c', script, 'sh', command, ...args], { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
}
