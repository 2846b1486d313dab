import { ArnFormat, Stack, Token, aws_iam as iam } from 'aws-cdk-lib';
import { IConstruct } from 'constructs';
import { Problem, Problems } from '../problems';

/** the only actions that inference needs: there is no `bedrock:Converse`. */
const ACTIONS = ['bedrock:InvokeModel', 'bedrock:InvokeModelWithResponseStream', 'bedrock:CountTokens'];

/** geographies that system-defined inference profiles are named after. */
const PROFILE_ID = /^(global|us|us-gov|eu|apac|jp|au|ca)\./;

/**
 * A system-defined inference profile, and what it routes to.
 */
export interface InferenceProfileAttributes {
  /** Id of the profile, such as `us.meta.llama3-3-70b-instruct-v1:0`. */
  readonly profileId: string;

  /** Regions that the profile routes to, its own included. */
  readonly destinationRegions: string[];

  /**
   * Id of the foundation model.
   *
   * @default - the profile's id without its geography
   */
  readonly foundationModelId?: string;
}

/**
 * An application inference profile, and what it routes to.
 */
export interface ApplicationInferenceProfileAttributes {
  /** ARN of the profile. */
  readonly profileArn: string;

  /** Id of the foundation model, such as `meta.llama3-3-70b-instruct-v1:0`. */
  readonly foundationModelId: string;

  /**
   * Regions that the profile routes to.
   *
   * @default - the stack's region alone
   */
  readonly destinationRegions?: string[];
}

/**
 * A model in Amazon Bedrock, and the resources that invoking it touches.
 */
export class BedrockModel {
  /**
   * A foundation model of the stack's region.
   *
   * Throws a `ProblemsError` (`BedrockModelId`) for the id of an inference profile or an ARN.
   *
   * @param modelId id such as `amazon.nova-pro-v1:0`.
   */
  public static foundationModel(modelId: string): BedrockModel {
    Problems.throwIfAny(foundationModelProblems(modelId, 'modelId'));
    return new BedrockModel(modelId, modelId, []);
  }

  /**
   * A system-defined inference profile.
   *
   * Throws a `ProblemsError` if the id is not that of a profile (`BedrockProfileId`) or no destination is named (`BedrockDestinationRegions`):
   * the caller needs the foundation model of every destination, or calls fail with AccessDenied on the day that they are routed there.
   *
   * @see https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html
   */
  public static inferenceProfile(attrs: InferenceProfileAttributes): BedrockModel {
    const { profileId, destinationRegions } = attrs;
    const problems: Problem[] = [];
    if (!Token.isUnresolved(profileId) && !PROFILE_ID.test(profileId)) {
      problems.push({
        rule: 'BedrockProfileId',
        path: 'profileId',
        value: JSON.stringify(profileId),
        message: 'this is not the id of a system-defined inference profile',
        mend: 'use an id that starts with a geography, such as us.meta.llama3-3-70b-instruct-v1:0, or BedrockModel.foundationModel',
      });
    }
    if (Token.isUnresolved(profileId) && attrs.foundationModelId === undefined) {
      problems.push({
        rule: 'BedrockModelId',
        path: 'foundationModelId',
        message: 'the profile id is a token, so the foundation model cannot be read from it',
        mend: 'give foundationModelId',
      });
    }
    problems.push(...regionProblems(destinationRegions));
    const foundationModelId = attrs.foundationModelId ?? profileId.replace(PROFILE_ID, '');
    problems.push(...foundationModelProblems(foundationModelId, 'foundationModelId'));
    Problems.throwIfAny(problems);
    return new BedrockModel(profileId, foundationModelId, destinationRegions, (stack) => stack.formatArn({
      service: 'bedrock', resource: 'inference-profile', resourceName: profileId,
    }));
  }

  /**
   * An application inference profile.
   *
   * Throws a `ProblemsError` as `inferenceProfile` does.
   */
  public static applicationInferenceProfile(attrs: ApplicationInferenceProfileAttributes): BedrockModel {
    Problems.throwIfAny([
      ...foundationModelProblems(attrs.foundationModelId, 'foundationModelId'),
      ...(attrs.destinationRegions === undefined ? [] : regionProblems(attrs.destinationRegions)),
    ]);
    return new BedrockModel(attrs.profileArn, attrs.foundationModelId, attrs.destinationRegions ?? [], () => attrs.profileArn);
  }

  /** What goes into `modelId` of a request. */
  public readonly invocationId: string;

  private readonly foundationModelId: string;
  private readonly regions: string[];
  private readonly profileArn?: (stack: Stack) => string;

  private constructor(invocationId: string, foundationModelId: string, regions: string[], profileArn?: (stack: Stack) => string) {
    this.invocationId = invocationId;
    this.foundationModelId = foundationModelId;
    this.regions = regions;
    this.profileArn = profileArn;
  }

  /**
   * Grants what an invocation needs and no more: the profile, and the foundation model in each destination, through that profile only.
   *
   * @internal
   */
  public _grantInvoke(scope: IConstruct, grantee: iam.IGrantable): iam.Grant {
    const stack = Stack.of(scope);
    const regions = this.regions.length > 0 ? [...this.regions] : [stack.region];
    if (this.invocationId.startsWith('global.')) {
      // a global profile also calls the model without a region:
      // https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
      regions.push('');
    }
    const models = regions.map((region) => stack.formatArn({
      service: 'bedrock',
      region,
      account: '',
      resource: 'foundation-model',
      resourceName: this.foundationModelId,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    }));
    const profileArn = this.profileArn?.(stack);
    if (profileArn === undefined) {
      return iam.Grant.addToPrincipal({ grantee, actions: ACTIONS, resourceArns: models });
    }
    return iam.Grant.addToPrincipal({ grantee, actions: ACTIONS, resourceArns: [profileArn] }).combine(iam.Grant.addToPrincipal({
      grantee, actions: ACTIONS, resourceArns: models, conditions: { StringEquals: { 'bedrock:InferenceProfileArn': profileArn } },
    }));
  }
}

function foundationModelProblems(modelId: string, path: string): Problem[] {
  if (Token.isUnresolved(modelId)) {
    return [];
  }
  const profile = PROFILE_ID.test(modelId);
  const fits = /^[a-z0-9-]+\.[A-Za-z0-9.:_-]+$/.test(modelId);
  return fits && !profile ? [] : [{
    rule: 'BedrockModelId',
    path,
    value: JSON.stringify(modelId),
    message: profile ? 'this is the id of an inference profile, not of a foundation model' : 'this is not the id of a foundation model',
    mend: profile ? 'use BedrockModel.inferenceProfile and name its destination regions' : 'use an id such as amazon.nova-pro-v1:0',
  }];
}

function regionProblems(regions: string[]): Problem[] {
  return regions.length > 0 ? [] : [{
    rule: 'BedrockDestinationRegions',
    path: 'destinationRegions',
    value: '[]',
    message: 'no destination region is named, and invoking a profile needs the foundation model in each of them',
    mend: 'list the regions that GetInferenceProfile shows',
  }];
}
