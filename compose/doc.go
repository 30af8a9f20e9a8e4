// Package compose brings docker-compose.yml up for real and runs nights against it.
// What only reads the file runs with every test; the rest has the build tag compose,
// because it wants a Docker engine, stand-ins for the images, and the lab VM:
//
//	make compose
package compose
