from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from .orders import SoldOut, place


@require_POST
def orders(request):
    try:
        order = place(request.body.decode())
    except SoldOut:
        return JsonResponse({"error": "sold out"}, status=409)
    order.refresh_from_db()
    return JsonResponse({"id": order.pk, "published": order.published}, status=201)


urlpatterns = [path("orders", orders)]
