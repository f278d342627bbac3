/** What the rest of the application knows of the shop, wherever it is kept. */
export interface Shop {
  /** Changes the state of an order and tells of it, in one transaction. */
  change(id: string, state: string): Promise<void>
}
