import { Token, aws_iam as iam, aws_s3 as s3 } from 'aws-cdk-lib';
import { ProblemsError } from '../problems';

/**
 * Where a model's files are: weights, tokenizer and `config.json`, as the engine loads them.
 */
export class ModelArtifacts {
  /**
   * The objects under a prefix of a bucket.
   *
   * Throws a `ProblemsError` (`ArtifactsPrefix`) if the prefix starts with a slash.
   *
   * @param bucket the bucket.
   * @param prefix the prefix, such as `llama-3.3-70b/`; the whole bucket if it is not given.
   */
  public static fromBucket(bucket: s3.IBucket, prefix: string = ''): ModelArtifacts {
    if (!Token.isUnresolved(prefix) && prefix.startsWith('/')) {
      throw new ProblemsError([{
        rule: 'ArtifactsPrefix',
        path: 'prefix',
        value: JSON.stringify(prefix),
        message: 'keys in S3 do not start with a slash',
        mend: `use ${JSON.stringify(prefix.replace(/^\/+/, ''))}`,
      }]);
    }
    return new ModelArtifacts(bucket, prefix === '' || Token.isUnresolved(prefix) || prefix.endsWith('/') ? prefix : `${prefix}/`);
  }

  /** Where the files are, such as `s3://models/llama-3.3-70b/`. */
  public readonly s3Uri: string;

  private readonly bucket: s3.IBucket;
  private readonly prefix: string;

  private constructor(bucket: s3.IBucket, prefix: string) {
    this.bucket = bucket;
    this.prefix = prefix;
    this.s3Uri = `s3://${bucket.bucketName}/${prefix}`;
  }

  /**
   * Grants to list and read the files, and to decrypt them if the bucket has a key.
   *
   * @param grantee who reads.
   */
  public grantRead(grantee: iam.IGrantable): iam.Grant {
    const list = iam.Grant.addToPrincipal({
      grantee,
      actions: ['s3:ListBucket'],
      resourceArns: [this.bucket.bucketArn],
      conditions: this.prefix === '' ? undefined : { StringLike: { 's3:prefix': `${this.prefix}*` } },
    });
    const read = iam.Grant.addToPrincipal({ grantee, actions: ['s3:GetObject'], resourceArns: [this.bucket.arnForObjects(`${this.prefix}*`)] });
    const key = this.bucket.encryptionKey;
    const decrypt = key && iam.Grant.addToPrincipal({ grantee, actions: ['kms:Decrypt'], resourceArns: [key.keyArn] });
    return decrypt === undefined ? list.combine(read) : list.combine(read).combine(decrypt);
  }
}
