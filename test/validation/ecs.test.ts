import { readFileSync } from 'fs';
import { join } from 'path';
import { Template } from './efa-fleet';
import { CheckResult, checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };

interface Parts {
  readonly template: Template;
  readonly task: Properties;
  readonly container: Properties;
  readonly service: Properties;
  readonly data: Properties;
  readonly group: Properties;
}

/** Two engines on two trn1.32xlarge, each with 16 Neuron and 8 EFA devices, changed by a test. */
function check(change: (parts: Parts) => void): CheckResult {
  const template: Template = JSON.parse(readFileSync(join(__dirname, 'fixtures', 'EfaDeviceOutOfRange.pass.json'), 'utf8'));
  const { Task, Service, LaunchTemplate, Group } = template.Resources;
  change({
    template,
    task: Task.Properties,
    container: Task.Properties.ContainerDefinitions[0],
    service: Service.Properties,
    data: LaunchTemplate.Properties.LaunchTemplateData,
    group: Group.Properties,
  });
  return checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
}

function found(change: (parts: Parts) => void): string[] {
  return check(change).findings.map(({ rule }) => rule.id);
}

function withParameter({ template }: Parts): { Ref: string } {
  template.Parameters = { Given: { Type: 'String' } };
  return { Ref: 'Given' };
}

/** Takes away what keeps two tasks on instances of their own. */
function unconstrained({ task, container, service }: Parts): void {
  task.NetworkMode = 'bridge';
  container.PortMappings = [{ ContainerPort: 8000 }];
  container.MemoryReservation = 65536;
  delete service.PlacementConstraints;
}

describe('what is given to a task', () => {
  test.each<[string, string[], (parts: Parts) => void]>([
    ['a device that an override of the group lacks', ['NeuronDeviceOutOfRange'], ({ group, data, container }) => {
      delete data.NetworkInterfaces;
      container.LinuxParameters.Devices.splice(16);
      group.MixedInstancesPolicy = {
        LaunchTemplate: { LaunchTemplateSpecification: group.LaunchTemplate, Overrides: [{ InstanceType: 'inf2.24xlarge' }] },
      };
      delete group.LaunchTemplate;
    }],
    ['a device of an instance type without any', ['NeuronDeviceOutOfRange'], ({ data }) => { data.InstanceType = 'm7i.48xlarge'; }],
    ['EFA devices of instances without EFA interfaces', ['EfaDeviceOutOfRange'], ({ data }) => { delete data.NetworkInterfaces; }],
    ['a gap, but every device by privilege', [], ({ container }) => {
      container.Privileged = true;
      container.LinuxParameters.Devices.splice(4, 1);
    }],
    ['a gap, but every device by the OCI hook', [], ({ container }) => {
      container.Environment = [{ Name: 'AWS_NEURON_VISIBLE_DEVICES', Value: 'ALL' }];
      container.LinuxParameters.Devices.splice(4, 1);
    }],
    ['a gap that a parameter may fill', [], (parts) => { parts.container.LinuxParameters.Devices[4].HostPath = withParameter(parts); }],
    ['permission to make nodes only', ['TaskDeviceReadOnly'], ({ container }) => { container.LinuxParameters.Devices[16].Permissions = ['mknod']; }],
    ['a limit of 64 KiB of locked memory', ['EfaMemoryLockLimit'], ({ container }) => {
      container.Ulimits = [{ Name: 'memlock', SoftLimit: '65536', HardLimit: '-1' }];
    }],
    ['a limit of locked memory by name of a parameter', [], (parts) => {
      parts.container.Ulimits = [{ Name: withParameter(parts), SoftLimit: -1, HardLimit: -1 }];
    }],
    ['fewer cores than ranks, by the short option', ['TensorParallelExceedsDevices'], ({ container }) => {
      container.Command = ['vllm', 'serve', '/model', '-tp', '64'];
    }],
    ['fewer cores than ranks of several nodes', [], ({ container }) => {
      container.Command = ['vllm', 'serve', '/model', '-tp', '64', '--nnodes', '2'];
    }],
    ['an unknown number of ranks', [], (parts) => { parts.container.Command[4] = withParameter(parts); }],
    ['a sidecar with all of the Neuron devices as a requirement', ['NeuronRequirementOutsideManagedInstances'], ({ task }) => {
      task.ContainerDefinitions.push({ Name: 'other', Image: 'busybox', Memory: 64, ResourceRequirements: [{ Type: 'NeuronDevice', Value: 'ALL' }] });
    }],
    ['the standard image of ECS', ['NeuronTaskImage'], ({ data }) => {
      data.ImageId = '{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id}}';
    }],
    ['the standard image of ECS, and the driver in user data', [], ({ data }) => {
      data.ImageId = '{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id}}';
      data.UserData = { 'Fn::Base64': { 'Fn::Sub': '#!/bin/bash\necho ECS_CLUSTER=${Cluster} >> /etc/ecs/ecs.config\ndnf install -y aws-neuronx-dkms\n' } };
    }],
    ['the standard image of ECS, and commands of a parameter', [], (parts) => {
      parts.data.ImageId = '{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id}}';
      parts.data.UserData = { 'Fn::Base64': { 'Fn::Join': ['\n', ['#!/bin/bash', 'echo ECS_CLUSTER=serving >> /etc/ecs/ecs.config', withParameter(parts)]] } };
    }],
    ['as much memory as fits, in GB', [], ({ task }) => { task.Memory = '400GB'; }],
    ['more processors than an instance has, in vCPU', ['TaskLargerThanInstance'], ({ task }) => { task.Cpu = '200 vCPU'; }],
    ['a requirement of GPUs', [], ({ container }) => { container.ResourceRequirements = [{ Type: 'GPU', Value: '1' }]; }],
  ])('%s', (_, rules, change) => {
    expect(found(change)).toEqual(rules);
  });

  test('two containers that require Neuron devices are one too many', () => {
    expect(found(({ task }) => {
      delete task.RequiresCompatibilities;
      const requirement = [{ Type: 'NeuronDevice', Value: 'ALL' }];
      task.ContainerDefinitions = ['a', 'b'].map((Name) => ({ Name, Image: 'busybox', Memory: 64, ResourceRequirements: requirement }));
    })).toEqual(['NeuronRequirementOutsideManagedInstances', 'NeuronRequirementNotAll']);
  });

  test.each<[string, (parts: Parts) => void]>([
    ['an instance type that is a parameter', (parts) => { parts.data.InstanceType = withParameter(parts); }],
    ['the launch type EC2', ({ service }) => {
      service.LaunchType = 'EC2';
      delete service.CapacityProviderStrategy;
    }],
    ['a capacity provider of another template', ({ service }) => { service.CapacityProviderStrategy[0].CapacityProvider = { 'Fn::ImportValue': 'Provider' }; }],
  ])('%s leaves the devices unchecked', (_, change) => {
    const { findings, unchecked } = check(change);
    expect(findings).toEqual([]);
    expect(unchecked.map(({ rule }) => rule.id)).toContain('NeuronDeviceOutOfRange');
  });

  test('the first device is on every instance with Neuron devices, whichever type it is', () => {
    const { findings, unchecked } = check(({ service, container }) => {
      service.LaunchType = 'EC2';
      delete service.CapacityProviderStrategy;
      container.Command = ['neuron-ls'];
      container.LinuxParameters.Devices = [{ HostPath: '/dev/neuron0' }];
    });
    expect([...findings, ...unchecked].map(({ rule }) => rule.id)).toEqual([]);
  });
});

describe('where a service runs', () => {
  const lessDevices = ({ data }: Parts) => { data.InstanceType = 'trn1.2xlarge'; };

  test.each<[string, string[], (parts: Parts) => void]>([
    ['on the default strategy of its cluster', ['NeuronDeviceOutOfRange', 'TaskLargerThanInstance'], (parts) => {
      const { template, service } = parts;
      template.Resources.Association.Properties.DefaultCapacityProviderStrategy = service.CapacityProviderStrategy;
      delete service.CapacityProviderStrategy;
      lessDevices(parts);
      delete parts.data.NetworkInterfaces;
      parts.container.LinuxParameters.Devices.splice(16);
    }],
    ['on a capacity provider by its name', ['NeuronDeviceOutOfRange', 'TaskLargerThanInstance'], (parts) => {
      const { template, service } = parts;
      template.Resources.CapacityProvider.Properties.Name = 'neuron';
      template.Resources.Association.Properties.CapacityProviders = ['neuron'];
      service.CapacityProviderStrategy[0].CapacityProvider = 'neuron';
      lessDevices(parts);
      delete parts.data.NetworkInterfaces;
      parts.container.LinuxParameters.Devices.splice(16);
    }],
    ['on Fargate by a capacity provider', ['NeuronTaskOnFargate'], ({ template, service, task }) => {
      delete task.RequiresCompatibilities;
      template.Resources.Association.Properties.CapacityProviders = ['FARGATE_SPOT'];
      service.CapacityProviderStrategy = [{ CapacityProvider: 'FARGATE_SPOT', Weight: 1 }];
    }],
    ['on Fargate that the cluster has not', ['CapacityProviderNotAssociated'], ({ service, container }) => {
      delete container.LinuxParameters;
      service.CapacityProviderStrategy = [{ CapacityProvider: 'FARGATE', Weight: 1 }];
    }],
    ['with more CPU units than there are', ['TaskLargerThanInstance'], ({ container }) => { container.Cpu = 129 * 1024; }],
    ['with less memory than the sum of the containers, by its own word', [], ({ task }) => { task.Memory = '4096'; }],
    ['with more memory than there is, in GB', ['TaskLargerThanInstance'], ({ task }) => { task.Memory = '4096 GB'; }],
    ['in a cluster that a custom resource may associate', [], ({ template }) => {
      delete template.Resources.Association;
      template.Resources.Made = { Type: 'Custom::Association', Properties: { ServiceToken: 'arn:aws:lambda:us-east-2:123456789012:function:a', Cluster: { Ref: 'Cluster' } } };
    }],
    ['by the family of its task', ['NeuronDeviceOutOfRange', 'TaskLargerThanInstance'], (parts) => {
      parts.task.Family = 'engine';
      parts.service.TaskDefinition = 'engine';
      lessDevices(parts);
      delete parts.data.NetworkInterfaces;
      parts.container.LinuxParameters.Devices.splice(16);
    }],
    ['in a cluster that a call of the API associates', [], ({ template }) => {
      delete template.Resources.Association;
      template.Resources.Call = { Type: 'Custom::AWS', Properties: { ServiceToken: 'arn:aws:lambda:us-east-2:123456789012:function:call' } };
    }],
  ])('%s', (_, rules, change) => {
    expect(found(change)).toEqual(rules);
  });

  test('the capacity providers of a cluster may be unknown', () => {
    const { findings, unchecked } = check((parts) => { parts.template.Resources.Association.Properties.CapacityProviders = withParameter(parts); });
    expect(findings).toEqual([]);
    expect(unchecked.map(({ rule }) => rule.id)).toEqual(['CapacityProviderNotAssociated']);
  });
});

describe('how many tasks there are', () => {
  test.each<[string, string[], (parts: Parts) => void]>([
    ['more than instances, as text', ['TasksExceedInstances'], ({ service }) => { service.DesiredCount = '3'; }],
    ['an unknown number', [], (parts) => { parts.service.DesiredCount = withParameter(parts); }],
    ['one on each instance of a daemon', [], ({ service }) => { service.SchedulingStrategy = 'DAEMON'; }],
    ['as many as a later schedule allows', [], (parts) => {
      parts.service.DesiredCount = 3;
      parts.template.Resources.Later = {
        Type: 'AWS::AutoScaling::ScheduledAction',
        Properties: { AutoScalingGroupName: withParameter(parts), MaxSize: 3, Recurrence: '0 6 * * *' },
      };
    }],
    ['a deployment that rounds up to all of them', ['DeploymentWithoutRoom'], ({ service }) => { service.DeploymentConfiguration.MinimumHealthyPercent = 51; }],
    ['a deployment by default', ['DeploymentWithoutRoom'], ({ service }) => { delete service.DeploymentConfiguration; }],
    ['a deployment by CodeDeploy', [], ({ service }) => {
      delete service.DeploymentConfiguration;
      service.DeploymentController = { Type: 'CODE_DEPLOY' };
    }],
    ['a deployment of none', [], ({ service }) => {
      delete service.DeploymentConfiguration;
      service.DesiredCount = 0;
    }],
    ['two that may share an instance', ['NeuronTasksShareInstance'], unconstrained],
    ['two that memory keeps apart', [], (parts) => {
      unconstrained(parts);
      parts.container.MemoryReservation = 300_000;
      parts.container.Memory = 300_000;
    }],
    ['two that CPU units keep apart', [], (parts) => {
      unconstrained(parts);
      parts.container.Cpu = 65 * 1024;
    }],
    ['two that are spread', [], (parts) => {
      unconstrained(parts);
      parts.service.PlacementStrategies = [{ Type: 'spread', Field: 'instanceId' }];
    }],
    ['two that divide the cores in a script', [], (parts) => {
      unconstrained(parts);
      parts.container.EntryPoint = ['/bin/sh', '-c', 'export NEURON_RT_NUM_CORES=16; exec "$0" "$@"'];
    }],
    ['two with environment of a file', [], (parts) => {
      unconstrained(parts);
      parts.container.EnvironmentFiles = [{ Type: 's3', Value: 'arn:aws:s3:::amzn-s3-demo-bucket/engine.env' }];
    }],
  ])('%s', (_, rules, change) => {
    expect(found(change)).toEqual(rules);
  });

  function addService({ template, service, task }: Parts): void {
    service.DesiredCount = 1;
    template.Resources.OtherTask = { Type: 'AWS::ECS::TaskDefinition', Properties: structuredClone(task) };
    template.Resources.Other = { Type: 'AWS::ECS::Service', Properties: { ...structuredClone(service), TaskDefinition: { Ref: 'OtherTask' } } };
  }

  test('services of the same devices may have an instance each', () => {
    expect(found(addService)).toEqual([]);
  });

  test('services of the same devices may come to share an instance', () => {
    expect(found((parts) => {
      unconstrained(parts);
      addService(parts);
    })).toEqual(['NeuronServicesShareDevices']);
  });
});

describe('instances of a capacity provider', () => {
  test.each<[string, string[], (parts: Parts) => void]>([
    ['no instance profile', ['EcsInstanceRoleMissing'], ({ data }) => { delete data.IamInstanceProfile; }],
    ['an instance profile by its name, whose role may do nothing', ['EcsInstanceRoleMissing'], ({ template, data }) => {
      data.IamInstanceProfile = { Name: { Ref: 'InstanceProfile' } };
      template.Resources.Role.Properties.ManagedPolicyArns = [];
    }],
    ['a role with an inline policy', [], ({ template }) => {
      template.Resources.Role.Properties = { AssumeRolePolicyDocument: {}, Policies: [{ PolicyName: 'agent', PolicyDocument: {} }] };
    }],
    ['a role that a policy may name', [], (parts) => {
      delete parts.template.Resources.Role.Properties.ManagedPolicyArns;
      parts.template.Resources.Policy = { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: {}, Roles: [withParameter(parts)] } };
    }],
    ['a role that a custom resource is given', [], ({ template }) => {
      delete template.Resources.Role.Properties.ManagedPolicyArns;
      template.Resources.Attach = { Type: 'Custom::AttachPolicies', Properties: { RoleName: { Ref: 'Role' } } };
    }],
    ['an image that CloudFormation resolves, and no user data', ['EcsClusterNotJoined'], ({ data }) => {
      data.ImageId = '{{resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id}}';
      delete data.UserData;
    }],
    ['an image of a parameter of SSM, and no user data', ['EcsClusterNotJoined'], ({ template, data }) => {
      const Default = '/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id';
      template.Parameters = { Image: { Type: 'AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>', Default } };
      data.ImageId = { Ref: 'Image' };
      delete data.UserData;
    }],
    ...['aws ssm get-parameter --name /ecs/config --query Parameter.Value --output text > /etc/ecs/ecs.config',
      '/opt/aws/bin/cfn-init -v -s inference -r LaunchTemplate --region us-east-2',
      'echo \'{"Cluster": "serving"}\' > /etc/ecs/ecs.config.json'].map((line): [string, string[], (parts: Parts) => void] => (
      [`user data that may join a cluster by ${line.slice(0, 30)}`, [], ({ data }) => { data.UserData = { 'Fn::Base64': `#!/bin/bash\n${line}\n` }; }])),
    ['user data that names no cluster', ['EcsClusterNotJoined'], ({ data }) => { data.UserData = { 'Fn::Base64': '#!/bin/bash\necho hi\n' }; }],
    ['user data that is fetched', [], ({ data }) => { data.UserData = { 'Fn::Base64': '#!/bin/bash\ncurl -s https://example.com/join.sh | sh\n' }; }],
    ['user data that is known in part', [], ({ data }) => { data.UserData = { 'Fn::Base64': { 'Fn::Sub': '#!/bin/bash\n${AWS::StackName}\n' } }; }],
    ['an image that may know its cluster', [], ({ data }) => {
      data.ImageId = 'ami-0123456789abcdef0';
      delete data.UserData;
    }],
    ['an image of Bottlerocket', [], ({ data }) => {
      data.ImageId = 'resolve:ssm:/aws/service/bottlerocket/aws-ecs-2/x86_64/latest/image_id';
      delete data.UserData;
    }],
  ])('%s', (_, rules, change) => {
    expect(found(change).filter((id) => id.startsWith('Ecs'))).toEqual(rules);
  });
});

test.each<[string, (parts: Parts) => void]>([
  ['containers', ({ task }) => { task.ContainerDefinitions = null; }],
  ['a container', ({ task }) => { task.ContainerDefinitions = [null, 'engine', 1]; }],
  ['devices', ({ container }) => { container.LinuxParameters.Devices = { HostPath: '/dev/neuron0' }; }],
  ['a device', ({ container }) => { container.LinuxParameters.Devices = [null, '/dev/neuron0', { HostPath: 7 }]; }],
  ['ulimits', ({ container }) => { container.Ulimits = 'memlock'; }],
  ['a command', ({ container }) => { container.Command = 'vllm serve /model'; }],
  ['ports', ({ container }) => { container.PortMappings = [null, 8000]; }],
  ['a strategy', ({ service }) => { service.CapacityProviderStrategy = [null]; }],
  ['constraints', ({ service }) => { service.PlacementConstraints = 'distinctInstance'; }],
  ['a profile', ({ data }) => { data.IamInstanceProfile = 'profile'; }],
  ['every property', ({ template }) => {
    for (const name of ['Task', 'Service', 'CapacityProvider', 'Association', 'Role', 'InstanceProfile', 'Group']) {
      delete (template.Resources[name] as { Properties?: unknown }).Properties;
    }
  }],
])('%s of an odd kind says nothing', (_, change) => {
  expect(found(change)).toEqual([]);
});
