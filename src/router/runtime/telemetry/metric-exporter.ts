import { Attributes } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** The attribute that stands for others. */
const SET = 'set';

/**
 * Sends metrics by OTLP, with attributes in the place of one that stood for them until then: of all attributes that an observation has the SDK makes a text, for
 * each anew, which would cost several times as much as all else that it does.
 */
export class MetricExporter extends OTLPMetricExporter {
  /** As JSON. */
  private readonly sets: string[] = [];

  /** What stands for attributes until they are sent, the same for those that are equal. */
  public standInFor(attributes: Attributes): Attributes {
    const set = JSON.stringify(attributes);
    if (!this.sets.includes(set)) {
      this.sets.push(set);
    }
    return { [SET]: this.sets.indexOf(set) };
  }

  public export(all: ResourceMetrics, done: Parameters<OTLPMetricExporter['export']>[1]): void {
    const scopeMetrics = all.scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.map((metric) => this.whole(metric)) }));
    super.export({ resource: all.resource, scopeMetrics }, done);
  }

  private whole(metric: MetricData): MetricData {
    const dataPoints = metric.dataPoints.map((point) => {
      const { [SET]: set, ...attributes } = point.attributes;
      return Object.assign({}, point, { attributes: Object.assign(attributes, set !== undefined && JSON.parse(this.sets[Number(set)])) });
    });
    return Object.assign({}, metric, { dataPoints }) as MetricData;
  }
}
