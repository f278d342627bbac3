import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** All that happens by chance in one run comes from here: one seed, one run. */
export class Chance {
  readonly #generator: ReturnType<typeof xoroshiro128plus>

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed)
  }

  /** 0 ≤ x < 1 */
  readonly fraction = (): number => uniformFloat64(this.#generator)

  /** a whole number, both ends included */
  between(least: number, most: number): number {
    return uniformInt(this.#generator, least, most)
  }

  /** true with this probability */
  happens(probability: number): boolean {
    return this.fraction() < probability
  }

  /** @throws {RangeError} for an empty list */
  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError('There is nothing to pick from.')
    return items[this.between(0, items.length - 1)] as Item
  }

  /** Mostly short, sometimes long: milliseconds as a network gives them. */
  latency(typicalMs: number): number {
    const isSlow = this.happens(0.03)
    return typicalMs * (0.2 + this.fraction() * (isSlow ? 20 : 1.6))
  }

  bytes = (into: Uint8Array): void => {
    for (let index = 0; index < into.length; index++) into[index] = this.between(0, 255)
  }

  /** A source of its own, so that what one part draws does not shift what another does. */
  fork(): Chance {
    return new Chance(this.between(-0x8000_0000, 0x7fff_ffff))
  }
}
