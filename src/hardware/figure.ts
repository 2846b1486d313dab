/** A figure as the data files carry it: value, unit and source side by side. */
export interface Figure {
  readonly value: number | null;
  readonly unit?: string;
  readonly source: string;
  readonly asOf?: string;
  readonly note?: string;
}

/** Numerator and denominator of one unit in SI units without prefix and in bytes; kept apart so that no figure is rounded. */
const UNITS: { readonly [unit: string]: readonly [number, number] } = {
  'GB': [1e9, 1],
  'GiB': [1024 ** 3, 1],
  'GB/s': [1e9, 1],
  'GiB/s': [1024 ** 3, 1],
  'TB/s': [1e12, 1],
  'Gbps': [1e9, 8],
  'Tb/s': [1e12, 8],
  'TFLOPS': [1e12, 1],
  'us': [1, 1e6],
  'kW': [1e3, 1],
};

/** The figure in SI units without prefix (bits become bytes); undefined where it is unknown. */
export function optionalFigure(figure?: Figure): number | undefined {
  if (figure === undefined || figure.value === null) {
    return undefined;
  }
  const [numerator, denominator] = figure.unit === undefined ? [1, 1] : UNITS[figure.unit];
  // products of decimals such as 1.555 TB/s are whole numbers of bytes, whatever binary arithmetic makes of them
  const scaled = figure.value * numerator;
  return (numerator > 1 ? Math.round(scaled) : scaled) / denominator;
}

/** The figure in SI units without prefix, of a figure that every entry of its file has. */
export function requiredFigure(figure: Figure): number {
  return optionalFigure(figure) as number;
}

/** The sources of the figures, each once, in order. */
export function sourcesOf(figures: (Figure | undefined)[]): string {
  return [...new Set(figures.flatMap((figure) => (figure ? [figure.source] : [])))].join('; ');
}
