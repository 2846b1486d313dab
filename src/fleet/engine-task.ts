import { Duration, Size, Stack, aws_ecs as ecs, aws_iam as iam, aws_logs as logs } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { ENGINE_IMAGE } from '../engine-image';
import { EngineSetup, apiPort, CACHE_DIRECTORY, entryScript, healthCommand, MODEL_DIRECTORY, serveCommand } from './engine/vllm-command';
import { HOST_DIRECTORY } from './fleet-instances';
import { ManagedRole } from '../managed-role';
import { ModelArtifacts } from './model-artifacts';
import { EfaInterfaceLayout } from '../network';

const AWS_CLI_IMAGE = 'public.ecr.aws/aws-cli/aws-cli:2.36.15';

/** shares of the instance's memory: what the engine may count on, and what of it may be shared between its processes. */
const RESERVED_SHARE = 0.75;
const SHARED_MEMORY_SHARE = 0.125;

/** what an `EngineTask` needs. */
export interface EngineTaskProps {
  readonly setup: EngineSetup;
  readonly artifacts: ModelArtifacts;
  readonly logGroup: logs.ILogGroup;
  readonly user: string;
}

/**
 * The task of one instance: a container that fetches the model, and the engine, which has every Neuron and EFA device.
 */
export class EngineTask extends Construct {
  public readonly taskRole: iam.Role;
  public readonly definition: ecs.Ec2TaskDefinition;
  public readonly engine: ecs.ContainerDefinition;

  constructor(scope: Construct, id: string, props: EngineTaskProps) {
    super(scope, id);
    this.taskRole = this.defineTaskRole(props.artifacts);
    const executionRole = this.defineExecutionRole(props.logGroup);
    this.definition = new ecs.Ec2TaskDefinition(this, 'Definition', {
      // EFA devices belong to the host, and a task's own network interface carries none.
      networkMode: ecs.NetworkMode.HOST,
      taskRole: this.taskRole,
      executionRole,
      volumes: [
        { name: 'model', host: { sourcePath: `${HOST_DIRECTORY}/model` } },
        { name: 'cache', host: { sourcePath: `${HOST_DIRECTORY}/cache` } },
      ],
    });
    const artifacts = this.addArtifacts(props);
    this.engine = this.addEngine(props);
    this.engine.addContainerDependencies({ container: artifacts, condition: ecs.ContainerDependencyCondition.SUCCESS });
    executionRole.completePolicy();
  }

  private addArtifacts(props: EngineTaskProps): ecs.ContainerDefinition {
    const container = this.definition.addContainer('artifacts', {
      image: ecs.ContainerImage.fromRegistry(AWS_CLI_IMAGE),
      command: ['s3', 'sync', props.artifacts.s3Uri, MODEL_DIRECTORY, '--no-progress'],
      essential: false,
      memoryReservationMiB: 1024,
      // the engine waits this long for the files.
      startTimeout: Duration.seconds(props.setup.coldStartSeconds),
      user: props.user,
      logging: this.logging(props.logGroup, 'artifacts'),
    });
    container.addMountPoints({ sourceVolume: 'model', containerPath: MODEL_DIRECTORY, readOnly: false });
    return container;
  }

  private addEngine(props: EngineTaskProps): ecs.ContainerDefinition {
    const { setup } = props;
    const memoryMib = (setup.instanceType.memoryGib ?? 4) * 1024;
    const container = this.definition.addContainer('engine', {
      image: setup.options.image ?? ecs.ContainerImage.fromRegistry(ENGINE_IMAGE),
      entryPoint: ['/bin/sh', '-c', entryScript(setup)],
      command: serveCommand(setup),
      // compilers write beside where they run.
      workingDirectory: CACHE_DIRECTORY,
      memoryReservationMiB: Math.floor(memoryMib * RESERVED_SHARE),
      portMappings: [{ containerPort: apiPort(setup.role) }],
      linuxParameters: this.linuxParameters(setup, memoryMib),
      ulimits: [{ name: ecs.UlimitName.MEMLOCK, softLimit: -1, hardLimit: -1 }],
      healthCheck: {
        command: ['CMD-SHELL', healthCommand(setup)],
        interval: Duration.seconds(30),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.seconds(300),
      },
      // the longest that ECS waits: streams end by themselves.
      stopTimeout: Duration.seconds(120),
      user: props.user,
      logging: this.logging(props.logGroup, 'engine'),
    });
    container.addMountPoints(
      { sourceVolume: 'model', containerPath: MODEL_DIRECTORY, readOnly: true },
      { sourceVolume: 'cache', containerPath: CACHE_DIRECTORY, readOnly: false },
    );
    return container;
  }

  private linuxParameters(setup: EngineSetup, memoryMib: number): ecs.LinuxParameters {
    const parameters = new ecs.LinuxParameters(this, 'LinuxParameters', {
      initProcessEnabled: true,
      sharedMemorySize: Size.mebibytes(Math.floor(memoryMib * SHARED_MEMORY_SHARE)).toMebibytes(),
    });
    const devices = [
      ...Array.from({ length: setup.instanceType.acceleratorCount }, (_, index) => `/dev/neuron${index}`),
      ...Array.from({ length: EfaInterfaceLayout.of(setup.instanceType).efaInterfaceCount }, (_, index) => `/dev/infiniband/uverbs${index}`),
    ];
    parameters.addDevices(...devices.map((hostPath) => ({
      hostPath, containerPath: hostPath, permissions: [ecs.DevicePermission.READ, ecs.DevicePermission.WRITE],
    })));
    return parameters;
  }

  // the L2 driver would add an inline policy to the execution role.
  private logging(logGroup: logs.ILogGroup, streamPrefix: string): ecs.LogDriver {
    return new ecs.GenericLogDriver({
      logDriver: 'awslogs',
      options: {
        'awslogs-group': logGroup.logGroupName,
        'awslogs-region': Stack.of(this).region,
        'awslogs-stream-prefix': streamPrefix,
        // a log that cannot be delivered must not hold an engine up.
        'mode': ecs.AwsLogDriverMode.NON_BLOCKING,
        'max-buffer-size': '25m',
      },
    });
  }

  private defineTaskRole(artifacts: ModelArtifacts): iam.Role {
    const role = new iam.Role(this, 'TaskRole', {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: 'Engines of an inference fleet',
    });
    artifacts.grantRead(new iam.ManagedPolicy(this, 'TaskPolicy', { description: 'Reads the model of an inference fleet', roles: [role] }));
    return role;
  }

  private defineExecutionRole(logGroup: logs.ILogGroup): ManagedRole {
    const role = new ManagedRole(this, 'ExecutionRole', {
      assumedBy: new iam.ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: 'Starts the engines of an inference fleet',
    });
    role.addToPrincipalPolicy(new iam.PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] }));
    return role;
  }
}
