FROM composer:2.8 AS vendor
WORKDIR /app
COPY composer.json composer.lock ./
RUN composer install --no-dev --no-scripts --prefer-dist
FROM php:8.4-fpm-alpine
RUN apk add --no-cache --virtual .phpize $PHPIZE_DEPS && docker-php-ext-install opcache pdo_mysql && apk del .phpize
WORKDIR /var/www/html
COPY --from=vendor /app/vendor vendor
COPY . .
USER www-data
CMD ["php-fpm"]
