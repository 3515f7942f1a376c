// Videometa serves what is known of short videos; README.md shows how a request flows.
package main

func main() {}
