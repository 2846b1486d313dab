import { readFileSync } from 'fs';
import { join } from 'path';
import { Template } from './efa-fleet';
import { CheckResult, checkTemplates } from '../../src/validation/check-templates';

type Properties = { [name: string]: any };

interface Parts {
  readonly template: Template;
  readonly task: Properties;
  readonly service: Properties;
  readonly balancer: Properties;
  readonly targets: Properties;
  readonly listener: Properties;
}

/** Engines in host mode behind an Application Load Balancer, changed by a test. */
function check(change: (parts: Parts) => void): CheckResult {
  const template: Template = JSON.parse(readFileSync(join(__dirname, 'fixtures', 'LoadBalancerZoneMissing.pass.json'), 'utf8'));
  const { Task, Service, Balancer, Targets, Listener } = template.Resources;
  change({
    template,
    task: Task.Properties,
    service: Service.Properties,
    balancer: Balancer.Properties,
    targets: Targets.Properties,
    listener: Listener.Properties,
  });
  return checkTemplates([{ stack: 'Fleet', region: 'us-east-2', template }]);
}

function found(change: (parts: Parts) => void): string[] {
  return check(change).findings.map(({ rule }) => rule.id);
}

const shortIdle = ({ balancer }: Parts) => { balancer.LoadBalancerAttributes = [{ Key: 'idle_timeout.timeout_seconds', Value: 60 }]; };

test.each<[string, string[], (parts: Parts) => void]>([
  ['an idle timeout of the default', ['LoadBalancerIdleTimeout'], shortIdle],
  ['an idle timeout behind a rule', ['LoadBalancerIdleTimeout'], (parts) => {
    shortIdle(parts);
    parts.template.Resources.Rule = {
      Type: 'AWS::ElasticLoadBalancingV2::ListenerRule',
      Properties: { ListenerArn: { Ref: 'Listener' }, Priority: 1, Conditions: [], Actions: parts.listener.DefaultActions },
    };
    parts.listener.DefaultActions = [{ Type: 'fixed-response', FixedResponseConfig: { StatusCode: '404' } }];
  }],
  ['an idle timeout behind weights', ['LoadBalancerIdleTimeout'], (parts) => {
    shortIdle(parts);
    parts.listener.DefaultActions = [{ Type: 'forward', ForwardConfig: { TargetGroups: [{ TargetGroupArn: { Ref: 'Targets' }, Weight: 1 }] } }];
  }],
  ['an idle timeout of a load balancer of others', [], (parts) => {
    shortIdle(parts);
    parts.listener.DefaultActions = [{ Type: 'fixed-response', FixedResponseConfig: { StatusCode: '404' } }];
  }],
  ['no idle timeout in front of something else than an engine', [], ({ task, balancer, service }) => {
    delete balancer.LoadBalancerAttributes;
    delete service.HealthCheckGracePeriodSeconds;
    delete task.ContainerDefinitions[0].LinuxParameters;
    task.ContainerDefinitions[0].Command = ['nginx'];
  }],
  ['a vLLM server without Neuron', ['LoadBalancerIdleTimeout'], (parts) => {
    shortIdle(parts);
    delete parts.service.HealthCheckGracePeriodSeconds;
    delete parts.task.ContainerDefinitions[0].LinuxParameters;
  }],
  ['a Neuron task that runs no vLLM server', [], ({ task, balancer, service }) => {
    delete balancer.LoadBalancerAttributes;
    delete service.HealthCheckGracePeriodSeconds;
    task.ContainerDefinitions[0].Command = ['--port=8500', '--rest_api_port=9000', '--model_name=resnet50_neuron'];
  }],
  ['IP targets in host mode', ['LoadBalancerTargetType'], ({ targets }) => { targets.TargetType = 'ip'; }],
  ['IP targets in an unknown mode', [], ({ template, task, targets }) => {
    template.Parameters = { Mode: { Type: 'String' } };
    task.NetworkMode = { Ref: 'Mode' };
    targets.TargetType = 'ip';
  }],
  ['a grace period of nothing', ['LoadBalancerGracePeriod'], ({ service }) => { service.HealthCheckGracePeriodSeconds = '0'; }],
  ['a short grace period, which is chosen', [], ({ service }) => { service.HealthCheckGracePeriodSeconds = 120; }],
  ['mappings without the zone of the engines', ['LoadBalancerZoneMissing'], ({ template, balancer }) => {
    balancer.SubnetMappings = balancer.Subnets.map((SubnetId: unknown) => ({ SubnetId }));
    delete balancer.Subnets;
    template.Resources.BalancerSubnet1.Properties.AvailabilityZone = 'us-east-2a';
  }],
  ['a subnet in a zone that is not known', [], ({ template }) => {
    template.Parameters = { Zone: { Type: 'String' } };
    template.Resources.BalancerSubnet1.Properties.AvailabilityZone = { Ref: 'Zone' };
  }],
  ['zones by their number', ['LoadBalancerZoneMissing'], ({ template }) => {
    for (const [index, name] of ['Subnet', 'BalancerSubnet1', 'BalancerSubnet2'].entries()) {
      template.Resources[name].Properties.AvailabilityZone = { 'Fn::Select': [index, { 'Fn::GetAZs': '' }] };
    }
  }],
  ['HTTP/2 to a proxy beside the engine', [], ({ task, service, targets }) => {
    task.ContainerDefinitions.push({ Name: 'proxy', Image: 'envoy', Memory: 512, PortMappings: [{ ContainerPort: 9000, HostPort: 9000 }] });
    service.LoadBalancers[0] = { ...service.LoadBalancers[0], ContainerName: 'proxy', ContainerPort: 9000 };
    targets.ProtocolVersion = 'HTTP2';
  }],
  ['HTTP/2 to an engine with an unknown argument', [], ({ template, task, targets }) => {
    template.Parameters = { Option: { Type: 'String' } };
    task.ContainerDefinitions[0].Command.push({ Ref: 'Option' });
    targets.ProtocolVersion = 'HTTP2';
  }],
  ['odd values', [], ({ service, balancer, targets, listener }) => {
    service.LoadBalancers = [null, 'Targets', ...service.LoadBalancers];
    targets.HealthCheckIntervalSeconds = {};
    balancer.Subnets = 'subnet';
    listener.DefaultActions.push(null, { ForwardConfig: { TargetGroups: 'Targets' } });
  }],
])('%s', (_, rules, change) => {
  expect(found(change)).toEqual(rules);
});

test('an idle timeout that is not known is not checked', () => {
  const { findings, unchecked } = check(({ template, balancer }) => {
    template.Parameters = { Attributes: { Type: 'CommaDelimitedList' } };
    balancer.LoadBalancerAttributes = { Ref: 'Attributes' };
  });
  expect(findings).toEqual([]);
  expect(unchecked.map(({ rule }) => rule.id)).toEqual(['LoadBalancerIdleTimeout']);
});
