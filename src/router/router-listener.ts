import { ArnFormat, Arn, Token, aws_certificatemanager as acm } from 'aws-cdk-lib';
import { SettingChecks } from './setting-checks';

/** What a load balancer takes for one. */
const CERTIFICATE_ARN = /^arn:[\w-]+:(?:acm|iam):/;
/** A name of DNS that a certificate may be for and callers may use: no URL, and no wildcard. */
const DOMAIN_NAME = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/i;

/**
 * How callers connect to a router. There is no way to put plain HTTP on the internet.
 */
export class RouterListener {
  /**
   * HTTPS within the VPC and the networks joined to it; plain HTTP is redirected to it.
   *
   * @param certificate certificate of the load balancer.
   * @param domainName name that the certificate is for and that callers use; an alias record of it is to point to the load balancer.
   */
  public static tls(certificate: acm.ICertificate, domainName: string): RouterListener {
    return new RouterListener(false, domainName, certificate);
  }

  /**
   * HTTPS, open to the internet; plain HTTP is redirected to it. API keys are all that keeps strangers out.
   *
   * @param certificate certificate of the load balancer.
   * @param domainName name that the certificate is for and that callers use; an alias record of it is to point to the load balancer.
   */
  public static internetFacingTls(certificate: acm.ICertificate, domainName: string): RouterListener {
    return new RouterListener(true, domainName, certificate);
  }

  /**
   * Plain HTTP within the VPC and the networks joined to it: prompts and API keys can be read by whoever reads that network.
   */
  public static plaintextInternal(): RouterListener {
    return new RouterListener(false);
  }

  /** Whether the load balancer has public addresses and admits everybody. */
  public readonly internetFacing: boolean;

  /**
   * Name that callers use.
   *
   * @default - the load balancer's own name
   */
  public readonly domainName?: string;

  /**
   * Certificate of the load balancer.
   *
   * @default - plain HTTP
   */
  public readonly certificate?: acm.ICertificate;

  private constructor(internetFacing: boolean, domainName?: string, certificate?: acm.ICertificate) {
    this.internetFacing = internetFacing;
    this.domainName = domainName;
    this.certificate = certificate;
  }
}

/** Refuses a listener that no load balancer of the region could have, or no caller could name. */
export function checkListener({ internetFacing, domainName, certificate }: RouterListener, region: string, checks: SettingChecks): void {
  if (certificate === undefined) {
    if (internetFacing || domainName !== undefined) {
      checks.refuse('RouterCertificate', 'listener', undefined, 'there is no certificate', 'give one, or RouterListener.plaintextInternal()');
    }
    return;
  }
  const arn = certificate.certificateArn;
  if (!Token.isUnresolved(arn) && !CERTIFICATE_ARN.test(arn)) {
    checks.refuse('RouterCertificate', 'listener', arn, 'this is not the ARN of a certificate', 'give the ARN of one in ACM or IAM');
  } else if (!Token.isUnresolved(arn) && !Token.isUnresolved(region)) {
    const { service, region: where } = Arn.split(arn, ArnFormat.SLASH_RESOURCE_NAME);
    if (service === 'acm' && where !== region) {
      checks.refuse('RouterCertificate', 'listener', arn, `a load balancer in ${region} takes no certificate of another region`, `give one of ${region}`);
    }
  }
  if (domainName !== undefined && !Token.isUnresolved(domainName) && !DOMAIN_NAME.test(domainName)) {
    checks.refuse('RouterDomainName', 'listener', domainName, 'this is not the name of a host', 'give the name alone, such as llm.example.com');
  }
}
