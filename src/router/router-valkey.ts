import { Token, aws_ec2 as ec2, aws_elasticache as elasticache, aws_secretsmanager as secretsmanager } from 'aws-cdk-lib';
import { PORT_BOUNDS, SettingChecks } from './setting-checks';
import { isValkeyUrl } from '../valkey-url';

/**
 * How the tasks of a router log in to a Valkey server.
 */
export interface RouterValkeyOptions {
  /**
   * Whose security group lets the tasks in.
   *
   * @default - the tasks may connect to any IPv4 address at the port; letting them in is up to you
   */
  readonly connections?: ec2.IConnectable;

  /**
   * Name of the user.
   *
   * @default - the server's default user
   */
  readonly username?: string;

  /**
   * Secret whose value is the password.
   *
   * @default - no password
   */
  readonly passwordSecret?: secretsmanager.ISecret;

  /**
   * What its keys begin with. Routers with the same prefix share the limits of callers: those with limits of their own need a prefix of their own, and a user
   * that may not reach all keys needs theirs.
   *
   * @default 'router:limits:'
   */
  readonly keyPrefix?: string;
}

/**
 * Where a Valkey server is.
 */
export interface RouterValkeyServerOptions extends RouterValkeyOptions {
  /** Its host name or address, one of IPv6 in brackets. */
  readonly host: string;

  /**
   * Its TCP port.
   *
   * @default 6379
   */
  readonly port?: number;

  /**
   * Whether it is a cluster, whose nodes each hold a part of the keys.
   *
   * @default false
   */
  readonly cluster?: boolean;
}

/**
 * A Valkey server by which the tasks of a router share the limits of callers. Connections are encrypted. While it cannot be asked, each task limits callers
 * by what it has admitted itself.
 */
export class RouterValkey {
  /**
   * A serverless cache of ElastiCache, of Valkey or Redis OSS.
   *
   * @param cache the cache.
   * @param options how to log in.
   */
  public static serverlessCache(cache: elasticache.CfnServerlessCache, options: RouterValkeyOptions = {}): RouterValkey {
    // its second port has the replicas, which clients of a cluster may ask where keys are.
    return new RouterValkey(`${cache.attrEndpointAddress}:${cache.attrEndpointPort}`, ec2.Port.tcpRange(6379, 6380), true, options, undefined, cache.engine);
  }

  /**
   * Any other server, version 6.2 or newer, with a certificate that a public authority vouches for.
   *
   * @param options where it is and how to log in.
   */
  public static server(options: RouterValkeyServerOptions): RouterValkey {
    const { host, port = 6379, cluster = false } = options;
    return new RouterValkey(`${host}:${Token.isUnresolved(port) ? Token.asString(port) : port}`, ec2.Port.tcp(port), cluster, options, port);
  }

  /**
   * @internal
   */
  public readonly _passwordSecret?: secretsmanager.ISecret;

  private constructor(
    private readonly address: string,
    private readonly ports: ec2.Port,
    private readonly cluster: boolean,
    private readonly options: RouterValkeyOptions,
    private readonly port?: number,
    private readonly engine?: string,
  ) {
    this._passwordSecret = options.passwordSecret;
  }

  /**
   * The server as the service reads it.
   *
   * @internal
   */
  public _config(passwordVariable: string): object {
    return {
      url: `valkeys://${this.address}`,
      username: this.options.username,
      passwordEnv: this._passwordSecret && passwordVariable,
      cluster: this.cluster,
      keyPrefix: this.options.keyPrefix,
    };
  }

  /**
   * Refuses what the service would refuse.
   *
   * @internal
   */
  public _check(checks: SettingChecks): void {
    const rule = 'RouterValkeyAddress';
    checks.number(rule, 'valkey.port', this.port, PORT_BOUNDS);
    if (!Token.isUnresolved(this.address) && !isValkeyUrl(`valkeys://${this.address}`)) {
      checks.refuse(rule, 'valkey.host', this.address, 'this is no address of a server', 'give a host name or an address, one of IPv6 in brackets, and the port beside it');
    }
    if (this.engine?.toLowerCase() === 'memcached') {
      checks.refuse(rule, 'valkey', this.engine, 'this cache does not speak the protocol of Valkey', 'give one whose engine is valkey');
    }
    checks.secret('valkey.passwordSecret', this._passwordSecret);
    checks.text('RouterValkeyPrefix', 'valkey.keyPrefix', this.options.keyPrefix, 'leave it out for "router:limits:"');
    checks.text('RouterValkeyUser', 'valkey.username', this.options.username, 'leave it out for the default user');
  }

  /**
   * Lets the tasks reach it.
   *
   * @internal
   */
  public _open(tasks: ec2.Connections): void {
    if (this.options.connections === undefined) {
      tasks.allowToAnyIpv4(this.ports, 'router to Valkey');
    } else {
      tasks.allowTo(this.options.connections, this.ports, 'router to Valkey');
    }
  }
}
