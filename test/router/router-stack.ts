import { App, Stack, aws_ec2 as ec2, aws_ecs as ecs } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { EngineEndpoint, OpenAiEndpointOptions } from '../../src/decode';
import { BedrockRouter, BedrockRouterProps } from '../../src/router';

export const image = ecs.ContainerImage.fromRegistry('router.example/router:1');
export const cloud = (more: Partial<OpenAiEndpointOptions> = {}) => (
  EngineEndpoint.openai({ name: 'cloud', url: 'https://api.example.com', modelName: 'llama-3.3-70b', ...more }));
export const CLOUD = cloud();

/** A router in a stack, with what a test gives it. */
export const inStack = (
  props: (stack: Stack, vpc: ec2.Vpc) => Partial<BedrockRouterProps> = () => ({}), env?: { region: string; account: string },
) => {
  const stack = new Stack(new App(), 'Stack', { env });
  const vpc = new ec2.Vpc(stack, 'Vpc', env === undefined ? {} : { availabilityZones: ['eu-west-1a', 'eu-west-1b'] });
  const router = new BedrockRouter(stack, 'Router', { vpc, image, engines: [CLOUD], servedModelNames: ['llama'], ...props(stack, vpc) });
  return { stack, vpc, router };
};
export const synth = (...args: Parameters<typeof inStack>) => {
  const built = inStack(...args);
  return { ...built, template: Template.fromStack(built.stack) };
};

export const container = (template: Template) => Object.values(template.findResources('AWS::ECS::TaskDefinition'))[0].Properties.ContainerDefinitions[0];
